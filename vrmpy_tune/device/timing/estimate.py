"""Estimated times: traces through the simulator."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, cast

from vrmpy_tune.closing import ClosedOnExit
from vrmpy_tune.device.timing.profile import profile_of
from vrmpy_tune.errors import DeviceError
from vrmpy_tune.measurement import EstimatedTime
from vrmpy_tune.toolchain.first_time import runtime_cache
from vrmpy_tune.toolchain.runtime import timing_simulator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vrmpy_tune.device.timing.profile import Profile

PARTS: Final = (
    "issue", "interlock", "l1", "l2", "memory", "vtcm", "dma", "imbalance", "overhead",
)  # fmt: skip
"""Where time goes: one packet after another; registers that are not ready; scalar loads beyond L1;
the port of L2; lines from beyond L2; the port of VTCM; transfers of the DMA that are waited for;
contexts that wait for the busiest; calls, forks and joins."""


@dataclass(frozen=True)
class TimeEstimate:
    """The time of one kernel call on all contexts of a device.

    Attributes
    ----------
    nanoseconds:
        The estimate.
    packets:
        Packets executed by all contexts together.
    parts:
        Nanoseconds by the names of :data:`PARTS`; they add up to the estimate.
    misses:
        Lines that missed, by the names of the caches ``l1``, ``l2`` and ``system_cache``.
    layers:
        For each layer of a network its parts.
    """

    nanoseconds: float
    packets: int
    parts: dict[str, float]
    misses: dict[str, int]
    layers: tuple[dict[str, float], ...] = ()

    @property
    def bottleneck(self) -> str:
        """The part that takes longest."""
        return max(PARTS, key=lambda part: self.parts[part])


class TraceSimulator(ClosedOnExit):
    """The simulator with traces in memory, for any number of profiles.

    Parameters
    ----------
    traces:
        Files that :func:`~vrmpy_tune.device.timing.tracing.write_trace` wrote.

    Raises
    ------
    ToolchainError
        If the simulator cannot be built.
    """

    def __init__(self, traces: Sequence[Path]) -> None:
        self._count = len(traces)
        program = timing_simulator(runtime_cache())
        self._process = subprocess.Popen(
            [program, *traces],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={},
        )

    def estimate(self, profile: Profile) -> list[TimeEstimate]:
        """Return the estimate of each trace.

        Raises
        ------
        DeviceError
            If a trace is damaged, or the profile is out of the simulator's range.
        """
        requests = cast("IO[str]", self._process.stdin)
        replies = cast("IO[str]", self._process.stdout)
        try:
            requests.write(profile.simulator_line() + "\n")
            requests.flush()
        except BrokenPipeError:
            pass  # it says why on its standard error
        lines = [replies.readline() for _ in range(self._count)]
        if not all(lines):
            told = self._process.communicate()[1].strip()
            raise DeviceError(f"The timing simulator failed: {told or 'it said nothing'}.")
        return [_parse(line, profile) for line in lines]

    def close(self) -> None:
        """End the simulator."""
        if self._process.poll() is None:
            self._process.communicate()


def estimate_time(trace: Path, metric: str) -> EstimatedTime:
    """Return the estimate of one trace by the profile that a metric names.

    Raises
    ------
    DeviceError
        If the trace is damaged.
    UsageError
        If there is no such profile.
    """
    profile = profile_of(metric)
    with TraceSimulator([trace]) as simulator:
        (estimate,) = simulator.estimate(profile)
    layers = tuple(_estimated(metric, sum(one.values()), one) for one in estimate.layers)
    return _estimated(metric, estimate.nanoseconds, estimate.parts, layers)


def _estimated(
    metric: str,
    nanoseconds: float,
    parts: dict[str, float],
    layers: tuple[EstimatedTime, ...] = (),
) -> EstimatedTime:
    rounded = tuple((part, round(parts[part])) for part in PARTS)
    return EstimatedTime(metric, max(1, round(nanoseconds)), rounded, layers)


def _parse(line: str, profile: Profile) -> TimeEstimate:
    ticks, packets, *fields = line.split()
    named = [field.split("=") for field in fields]
    values = {name: int(value) for name, value in named if name != "at"}
    passed = [[int(one) for one in value.split(",")] for name, value in named if name == "at"]
    return TimeEstimate(
        profile.nanoseconds(int(ticks)),
        int(packets),
        {part: profile.nanoseconds(values[part]) for part in PARTS},
        {cache: values[f"{cache}_misses"] for cache in ("l1", "l2", "system_cache")},
        tuple(
            {
                part: profile.nanoseconds(after - before)
                for part, before, after in zip(PARTS, start[1:], end[1:], strict=True)
            }
            for start, end in zip(passed[::2], passed[1::2], strict=True)
        ),
    )
