"""Calibration: fitting a profile to measurements, and saying how far it is from others.

What is fitted, and what is scored, are kept apart: the check fits on the streams of ``vrmpy`` alone
and scores all other points whose kernels could be rebuilt, none left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vrmpy_tune.closing import ClosedOnExit
from vrmpy_tune.device.timing.estimate import TraceSimulator
from vrmpy_tune.device.timing.fit import fit_logarithms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vrmpy_tune.device.timing.points import Point
    from vrmpy_tune.device.timing.profile import Profile
    from vrmpy_tune.device.timing.rebuild import TracedPoint

FITTED: Final = (
    "clock_mhz", "l2_port_cycles", "system_cache_ns", "system_cache_shared_ns", "dram_ns",
    "dram_shared_ns", "fork_join_ns", "call_ns",
)  # fmt: skip
"""What the fit decides.  :mod:`vrmpy_tune.device.timing.choices` has what was settled otherwise,
after errors had been seen; all else is documented or assumed, see the profiles' sources."""

START: Final = {
    "clock_mhz": 1000.0, "l2_port_cycles": 1.0, "system_cache_ns": 10.0,
    "system_cache_shared_ns": 5.0, "dram_ns": 20.0, "dram_shared_ns": 10.0,
    "fork_join_ns": 1000.0, "call_ns": 100.0,
}  # fmt: skip
"""Where a fit starts: round numbers, none of them from a measurement."""

FIT_GROUP: Final = "vrmpy stream"
"""The group that the check fits on: 16 points of TVM PR 12654."""

HELD_OUT: Final = ("vmpy stream", "vadd stream", "conv-approx (TVM PR 13005)")
"""The groups that the check scores; what else could be rebuilt is shown beside them."""

ABLATIONS: Final[Mapping[str, Mapping[str, float]]] = {
    "interlocks": {
        "early_source_packets": 0, "scalar_load_packets": 0, "scalar_multiply_packets": 0,
        "store_to_load_packets": 0,
    },
    "L1": {"l1_miss_cycles": 0},
    "port of L2": {"l2_port_cycles": 0},
    "misses of L2": {"l2_bytes": 1 << 31},
    "system cache": {"system_cache_bytes": 0},
    "shared bandwidth": {"system_cache_shared_ns": 0, "dram_shared_ns": 0},
    "fork and join": {"fork_join_ns": 0},
    "cost of a call": {"call_ns": 0},
    "warm caches": {"warm_calls": 0},
}  # fmt: skip
"""Parts of the model by name, and the values that switch them off."""


UNEXPLAINED: Final = 0.15
"""Error beyond which a point counts as not explained."""


def group_of(point: Point) -> str:
    """Return the group of a point, in which errors are reported and left out together."""
    name = point.workload.partition(" ")[0]
    return f"{name} stream" if " stream " in point.workload else f"{name} ({point.source})"


def geometric_error(ratios: Sequence[float]) -> float:
    """Return the geometric-mean error of ratios of estimate to measurement: 0.1 is 10%."""
    if not ratios:
        return 0.0
    return math.exp(sum(abs(math.log(ratio)) for ratio in ratios) / len(ratios)) - 1


@dataclass(frozen=True)
class Scored:
    """A point and its estimates.

    Attributes
    ----------
    point:
        The measurement.
    microseconds:
        The estimated time.
    bottleneck:
        The part of the estimate that is largest.
    """

    point: Point
    microseconds: float
    bottleneck: str

    @property
    def ratio(self) -> float:
        """Estimate over measurement."""
        return self.microseconds / self.point.microseconds


class Calibration(ClosedOnExit):
    """Traced measurements, to fit profiles to and to score them by.

    Parameters
    ----------
    traced:
        Measurements with traces, in any order.
    """

    def __init__(self, traced: Sequence[TracedPoint]) -> None:
        self.traced = tuple(traced)
        self._simulators: dict[tuple[int, ...], TraceSimulator] = {}

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of the points, in order."""
        return tuple(dict.fromkeys(group_of(one.point) for one in self.traced))

    def members(self, *groups: str) -> tuple[int, ...]:
        """Return the indices of the points of some groups."""
        return tuple(
            index for index, one in enumerate(self.traced) if group_of(one.point) in groups
        )

    def others(self, *groups: str) -> tuple[int, ...]:
        """Return the indices of the points of all groups but some."""
        return self.members(*(one for one in self.groups if one not in groups))

    def fit(
        self, profile: Profile, members: Sequence[int], names: Sequence[str] = FITTED
    ) -> Profile:
        """Return ``profile`` with the named parameters fitted to some points.

        The fit starts from :data:`START`, not from the profile's own values.
        """
        measured = [self.traced[index].point.microseconds for index in members]

        def evaluate(values: np.ndarray) -> np.ndarray:
            tried = profile.with_values(dict(zip(names, map(float, values), strict=True)))
            return np.array([one.microseconds for one in self.score(tried, members)])

        found = fit_logarithms(evaluate, [START[name] for name in names], measured)
        return profile.with_values(
            {name: float(f"{value:.4g}") for name, value in zip(names, found, strict=True)}
        )

    def score(self, profile: Profile, members: Sequence[int]) -> list[Scored]:
        """Return the estimates of some points."""
        key = tuple(members)
        if key not in self._simulators:
            self._simulators[key] = TraceSimulator([self.traced[index].trace for index in key])
        estimates = self._simulators[key].estimate(profile)
        return [
            Scored(self.traced[index].point, one.nanoseconds / 1e3, one.bottleneck)
            for index, one in zip(key, estimates, strict=True)
        ]

    def packet_ratios(self, members: Sequence[int]) -> list[float]:
        """Return for some points packets on the critical path x the best constant / measurement.

        The constant is the one with the least error on these very points.
        """
        ratios = [
            self.traced[index].packets / self.traced[index].point.microseconds for index in members
        ]
        best = float(np.exp(np.median(np.log(ratios)))) if ratios else 1.0
        return [ratio / best for ratio in ratios]

    def close(self) -> None:
        """End the simulators."""
        for simulator in self._simulators.values():
            simulator.close()
        self._simulators.clear()


def check(calibration: Calibration, profile: Profile) -> dict[str, Any]:
    """Fit on the streams of ``vrmpy`` alone and score everything else.

    Returns
    -------
    report:
        ``held_out_geomean_error`` and what stands beside it: the packets' error, errors by group,
        each point, leave-one-group-out figures, ablations.
    """
    training = calibration.members(FIT_GROUP)
    held_out = calibration.members(*HELD_OUT)
    beyond = calibration.others(FIT_GROUP, *HELD_OUT)
    fitted = calibration.fit(profile, training)
    scored = calibration.score(fitted, held_out)
    packets = calibration.packet_ratios(held_out)
    more = calibration.score(fitted, beyond)
    return {
        "held_out_geomean_error": geometric_error([one.ratio for one in scored]),
        "packets_geomean_error": geometric_error(packets),
        "fit_geomean_error": geometric_error(
            [one.ratio for one in calibration.score(fitted, training)]
        ),
        "fitted_on": {"group": FIT_GROUP, "points": len(training)},
        "fitted": {name: fitted.value(name) for name in FITTED},
        "groups": _by_group(scored, packets),
        "points": _rows(scored, packets),
        "unexplained": unexplained([*scored, *more]),
        "beyond": _rows(more, calibration.packet_ratios(beyond)),
        "leave_one_group_out": leave_one_group_out(calibration, profile),
        "ablations": ablations(calibration, profile),
    }


def unexplained(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """Return the points that are off by more than :data:`UNEXPLAINED`; README discusses them."""
    return [
        {"source": one.point.source, "name": one.point.name, "ratio": round(one.ratio, 3)}
        for one in scored
        if geometric_error([one.ratio]) > UNEXPLAINED
    ]


def leave_one_group_out(calibration: Calibration, profile: Profile) -> dict[str, float]:
    """Return each group's error when the profile is fitted on all other groups."""
    errors = {}
    for group in calibration.groups:
        fitted = calibration.fit(profile, calibration.others(group))
        scored = calibration.score(fitted, calibration.members(group))
        errors[group] = geometric_error([one.ratio for one in scored])
    return errors


def ablations(calibration: Calibration, profile: Profile) -> dict[str, float]:
    """Return the held-out error with each part of the model switched off, and the rest fitted."""
    training, held_out = calibration.members(FIT_GROUP), calibration.members(*HELD_OUT)
    errors = {}
    for part, values in ABLATIONS.items():
        names = [name for name in FITTED if name not in values]
        fitted = calibration.fit(profile.with_values(values), training, names)
        scored = calibration.score(fitted, held_out)
        errors[part] = geometric_error([one.ratio for one in scored])
    return errors


def _by_group(scored: Sequence[Scored], packets: Sequence[float]) -> dict[str, dict[str, float]]:
    groups: dict[str, tuple[list[float], list[float]]] = {}
    for one, by_packets in zip(scored, packets, strict=True):
        ratios = groups.setdefault(group_of(one.point), ([], []))
        ratios[0].append(one.ratio)
        ratios[1].append(by_packets)
    return {
        group: {
            "points": len(ours),
            "geomean_error": geometric_error(ours),
            "packets_geomean_error": geometric_error(theirs),
        }
        for group, (ours, theirs) in groups.items()
    }


def fit_all(calibration: Calibration, profile: Profile) -> Profile:
    """Return ``profile`` fitted to all points, with what the fit was made of among its sources."""
    fitted = calibration.fit(profile, range(len(calibration.traced)))
    made_of = sorted({one.point.source for one in calibration.traced})
    source = f"fitted to {len(calibration.traced)} points of {', '.join(made_of)}"
    return replace(fitted, sources={**profile.sources, **dict.fromkeys(FITTED, source)})


def describe_fit(calibration: Calibration, profile: Profile, fitted: Profile) -> dict[str, Any]:
    """Return the errors of a fitted profile, and those of its cross-validation."""
    everything = range(len(calibration.traced))
    scored = calibration.score(fitted, everything)
    packets = calibration.packet_ratios(everything)
    return {
        "fit_geomean_error": geometric_error([one.ratio for one in scored]),
        "packets_geomean_error": geometric_error(packets),
        "fitted": {name: fitted.value(name) for name in FITTED},
        "groups": _by_group(scored, packets),
        "points": _rows(scored, packets),
        "leave_one_group_out": leave_one_group_out(calibration, profile),
    }


def _rows(scored: Sequence[Scored], packets: Sequence[float]) -> list[dict[str, Any]]:
    return [
        {
            "source": one.point.source,
            "name": one.point.name,
            "microseconds": one.point.microseconds,
            "estimate": round(one.microseconds, 3),
            "ratio": round(one.ratio, 3),
            "packets_ratio": round(by_packets, 3),
            "bottleneck": one.bottleneck,
        }
        for one, by_packets in zip(scored, packets, strict=True)
    ]
