"""Layers in the style of October 2022: built, compared bit for bit, traced, and their time."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vrmpy_tune.device.protocol import Limits
from vrmpy_tune.device.timing.estimate import PARTS, TraceSimulator
from vrmpy_tune.device.timing.rebuild import AS_PUBLISHED, GENERATORS, TARGET, WORKERS, build
from vrmpy_tune.device.timing.untuned.layers import operators_of
from vrmpy_tune.errors import VerificationError
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.verification import differences
from vrmpy_tune.workload.inputs import INPUT_SETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vrmpy_tune.device.protocol import RunResult
    from vrmpy_tune.device.qemu import QemuDevice
    from vrmpy_tune.device.timing.profile import Profile
    from vrmpy_tune.device.timing.untuned.layers import Operator
    from vrmpy_tune.toolchain.pool import CodegenPool
    from vrmpy_tune.workload import Workload

_LIMITS: Final = Limits(cpu_s=300.0, wall_s=1800.0)


@dataclass(frozen=True)
class OperatorTime:
    """One operator, verified.

    Attributes
    ----------
    workload, name:
        The layer it belongs to, and what it does.
    count:
        How often the network has it.
    packets:
        Packets of one call, of all contexts.
    nanoseconds:
        Estimated time of a repeated call: caches as the call before left them.
    parts:
        Where that goes, by the names of :data:`~vrmpy_tune.device.timing.estimate.PARTS`.
    cold_nanoseconds:
        Estimated time of a call that finds nothing in the caches.
    in_network:
        Whether the network has it; else it tells what a part of another one takes.
    """

    workload: Workload
    name: str
    count: int
    packets: int
    nanoseconds: float
    parts: dict[str, float]
    cold_nanoseconds: float
    in_network: bool


def time_layers(
    layers: Sequence[tuple[Workload, int]],
    device: QemuDevice,
    pool: CodegenPool,
    profile: Profile,
    *,
    generator: str = AS_PUBLISHED,
) -> Iterator[OperatorTime]:
    """Build, verify and time every operator of some layers.

    Parameters
    ----------
    layers:
        Distinct layers, and how often the network has each.
    device, pool:
        Where kernels run, and where code is generated.
    profile:
        The device whose times are estimated.
    generator:
        Name of the code generator.

    Raises
    ------
    UsageError
        If a layer is not covered.
    VerificationError
        If an output differs from the reference.
    BuildError, DeviceError
        If an operator cannot be built, run or traced.
    """

    def time_one(layer: tuple[Workload, int]) -> list[OperatorTime]:
        workload, count = layer
        return [time_operator(workload, count, one) for one in operators_of(workload)]

    def time_operator(workload: Workload, count: int, operator: Operator) -> OperatorTime:
        with tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as scratch:
            directory = Path(scratch)
            job = build(operator.kernel, pool, GENERATORS[generator], directory)
            check(workload, operator, device.run(job, operator.operands, TARGET, _LIMITS))
            trace = directory / "call.trace"
            counts = device.trace(job, operator.operands[0], TARGET, trace, _LIMITS)
            with TraceSimulator([trace]) as simulator:
                (warm,) = simulator.estimate(profile)
                (cold,) = simulator.estimate(profile.with_values({"warm_calls": 0}))
        parts = {part: warm.parts[part] for part in PARTS}
        return OperatorTime(
            workload, operator.name, count, counts.packets_total,
            warm.nanoseconds, parts, cold.nanoseconds, operator.in_network,
        )  # fmt: skip

    with ThreadPoolExecutor(WORKERS, "layer") as threads:
        for timed in threads.map(time_one, layers):
            yield from timed


def check(workload: Workload, operator: Operator, result: RunResult) -> None:
    """Compare a run with the operator's reference, bit for bit.

    Raises
    ------
    VerificationError
        If it did not end well, or an output differs.
    """
    what = f"The operator '{operator.name}' of {workload}, as of 2022,"
    if result.outcome is not Outcome.OK:
        raise VerificationError(f"{what} failed. {result.message}")
    for kind, expected, (actual,) in zip(
        INPUT_SETS, operator.expected, result.outputs, strict=True
    ):
        wrong, first = differences(actual, expected)
        if wrong:
            raise VerificationError(
                f"{what} gives {wrong} wrong values of {expected.size} on the inputs "
                f"'{kind}'; the first, at {list(first)}, is {actual[first]} instead of "
                f"{expected[first]}."
            )
