"""Whole networks whose times were published: the estimates next to them, with error bars.

The bars are how far estimates are from the held-out points of the calibration.  Those are kernels
of vector code, called again and again; a network also runs scalar code, and reads 25 MB of weights
from memory in each inference, of which no point says anything.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.device.timing import calibration, points
from vrmpy_tune.device.timing.intervals import correlated, independent, log_deviation
from vrmpy_tune.device.timing.profile import load_profile, profile_of
from vrmpy_tune.device.timing.rebuild import AS_PUBLISHED, trace_points
from vrmpy_tune.device.timing.untuned.layers import SUMS_ALONE
from vrmpy_tune.device.timing.untuned.measure import time_layers
from vrmpy_tune.errors import UsageError
from vrmpy_tune.measurement import HVX_TIME_8GEN1, QEMU_CRITICAL
from vrmpy_tune.target import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from vrmpy_tune.device.qemu import QemuDevice
    from vrmpy_tune.device.timing.points import Point
    from vrmpy_tune.device.timing.profile import Profile
    from vrmpy_tune.device.timing.untuned.measure import OperatorTime
    from vrmpy_tune.model.compiled import ModelRun
    from vrmpy_tune.toolchain.pool import CodegenPool
    from vrmpy_tune.workload import Workload

UNTUNED_SOURCE: Final = "TVM PR 12911"
TUNED_SOURCE: Final = "TVM PR 13734"
_RESNET: Final = "int8 ResNet-50"
_TARGET: Final = TARGETS["hexagon-v68"]


@dataclass(frozen=True)
class HeldOutErrors:
    """How far estimates are from measurements that no parameter was fitted to.

    Attributes
    ----------
    deviation:
        :func:`~vrmpy_tune.device.timing.intervals.log_deviation`.
    points:
        How many measurements.
    """

    deviation: float
    points: int


def held_out_errors(
    given: Iterable[Point], device: QemuDevice, pool: CodegenPool, generator: str = AS_PUBLISHED
) -> HeldOutErrors:
    """Rebuild and time the held-out measurements among ``given`` with the profile that ships.

    Raises
    ------
    BuildError, DeviceError
        If a kernel cannot be built or traced.
    """
    chosen = [one for one in given if calibration.group_of(one) in calibration.HELD_OUT]
    with tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as scratch:
        traced = list(trace_points(chosen, device, pool, Path(scratch), generator=generator))
        with calibration.Calibration(traced) as made:
            scored = made.score(profile_of(HVX_TIME_8GEN1), range(len(traced)))
    return HeldOutErrors(log_deviation([one.ratio for one in scored]), len(scored))


def published(source: str, workload: str = _RESNET) -> Point:
    """Return the published time of a network.

    Raises
    ------
    UsageError
        If there is none.
    """
    for point in points.read_points(points.PUBLISHED):
        if point.source == source and point.workload.startswith(workload):
            return point
    raise UsageError(f"{points.PUBLISHED} has no {workload} of {source}.")


def untuned_row(
    layers: Sequence[tuple[Workload, int]],
    device: QemuDevice,
    pool: CodegenPool,
    errors: HeldOutErrors,
    *,
    generator: str = AS_PUBLISHED,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Return the estimate of a network as TVM compiled it in 2022, next to PR 12911's time.

    Every operator's output is compared with numpy, bit for bit.

    Parameters
    ----------
    layers:
        Distinct layers, and how often the network has each.

    Raises
    ------
    UsageError, VerificationError, BuildError, DeviceError
        As :func:`~vrmpy_tune.device.timing.untuned.measure.time_layers`.
    """
    profile = load_profile("sd888")
    timed = []
    for one in time_layers(layers, device, pool, profile, generator=generator):
        progress(f"{one.count} x {one.name} of {one.workload}: {one.nanoseconds / 1e3:,.0f} us")
        timed.append(one)
    there = [one for one in timed if one.in_network]
    cold = sum(one.count * one.cold_nanoseconds for one in there)
    terms = [one.count * one.nanoseconds for one in there]
    row = _row(published(UNTUNED_SOURCE), profile, terms, errors)
    return {
        **row,
        "system": "TVM of October 2022, untuned",
        "estimate_cold_ms": cold / 1e6,
        "parts_ms": _sum_parts(
            {part: one.count * nanoseconds / 1e3 for part, nanoseconds in one.parts.items()}
            for one in there
        ),
        "by_operator_ms": _by_operator(there),
        "sums_alone_ms": _by_operator(timed).get(SUMS_ALONE),
        "verified": len(timed),
        "operators": [_operator(one) for one in timed],
    }


def tuned_row(path: Path, records: Sequence[str], errors: HeldOutErrors) -> dict[str, Any]:
    """Return the estimate of a model with records for four contexts, next to PR 13734's time.

    The outputs are compared with the interpreter's, bit for bit.

    Parameters
    ----------
    path:
        The ONNX file.
    records:
        Stores to look in.

    Raises
    ------
    MissingRecordError
        If a layer has no record.
    VrmpyTuneError
        What compiling and running raise.
    """
    from vrmpy_tune.model.compile import compile_network
    from vrmpy_tune.model.files import run_files
    from vrmpy_tune.model.opening import open_model

    network, source = open_model(path)
    with tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as scratch:
        net = Path(scratch) / "net"
        compile_network(
            network, target=_TARGET, records=records, output=net, metric=QEMU_CRITICAL,
            device=None, strict=True, source=source,
        )  # fmt: skip
        run = run_files(net, metric=HVX_TIME_8GEN1)
    profile = profile_of(HVX_TIME_8GEN1)
    row = _row(published(TUNED_SOURCE), profile, _terms(run), errors)
    return {
        **row,
        "system": "vrmpy_tune, shipped records",
        "packets_total": run.counts.packets_total,
        "packets_critical": run.counts.packets_critical,
        "parts_ms": _sum_parts(one.time.as_json() for one in run.layers if one.time),
        "verified": len(run.layers),
    }


def _terms(run: ModelRun) -> list[float]:
    """Return the nanoseconds of each distinct layer in all its places, and of what is between."""
    assert run.counts.time is not None
    terms: dict[str, float] = {}
    for layer in run.layers:
        name = str(layer.workload)
        terms[name] = terms.get(name, 0.0) + (layer.time.nanoseconds if layer.time else 0)
    between = run.counts.time.nanoseconds - sum(terms.values())
    return [*terms.values(), max(0.0, between)]


def _row(
    point: Point, profile: Profile, terms: Sequence[float], errors: HeldOutErrors
) -> dict[str, Any]:
    measured, total = point.microseconds / 1e3, sum(terms) / 1e6
    bars = {
        "all_err_alike": correlated(terms, errors.deviation),
        "each_errs_by_itself": independent(terms, errors.deviation),
    }
    return {
        "network": point.workload,
        "device": point.device,
        "source": point.source,
        "measured_ms": measured,
        "profile": profile.metric,
        "estimate_ms": total,
        "ratio": total / measured,
        "interval_ms": {name: [end / 1e6 for end in ends] for name, ends in bars.items()},
        "within": {name: ends[0] / 1e6 <= measured <= ends[1] / 1e6 for name, ends in bars.items()},
    }


def _sum_parts(each: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Add parts in microseconds up to milliseconds."""
    sums: dict[str, float] = {}
    for parts in each:
        for part, us in parts.items():
            sums[part] = sums.get(part, 0.0) + us / 1e3
    return sums


def _by_operator(timed: Iterable[OperatorTime]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for one in timed:
        sums[one.name] = sums.get(one.name, 0.0) + one.count * one.nanoseconds / 1e6
    return sums


def _operator(one: OperatorTime) -> dict[str, Any]:
    return {
        "workload": str(one.workload),
        "operator": one.name,
        "count": one.count,
        "packets_total": one.packets,
        "estimated_us": one.nanoseconds / 1e3,
        "estimated_cold_us": one.cold_nanoseconds / 1e3,
        "time_us": {part: nanoseconds / 1e3 for part, nanoseconds in one.parts.items()},
    }
