"""One workload with its weights in each kind of memory: the best schedule of each plan."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from search_spaces import find_space, spaces_for
from search_spaces.memory import Memory
from vrmpy_tune.device.protocol import Job
from vrmpy_tune.device.timing.estimate import TraceSimulator
from vrmpy_tune.device.timing.profile import profile_of
from vrmpy_tune.errors import NoValidCandidateError
from vrmpy_tune.replay import replay
from vrmpy_tune.toolchain.pool import CodegenPool
from vrmpy_tune.tune.run import tune
from vrmpy_tune.verification import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vrmpy_tune.device.qemu import QemuDevice
    from vrmpy_tune.records.record import Record
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.tune.events import Event
    from vrmpy_tune.workload import Workload

NO_ROOM: Final = (
    "No search space of this workload has such schedules, or VTCM has no room for the slabs of all "
    "contexts."
)

BY_DMA: Final = (Memory.DMA, Memory.PIPELINED)
"""Plans that parameters of the DMA matter to."""

WHAT_IF: Final[Mapping[str, tuple[float, ...]]] = {
    "dma_latency_ns": (100.0, 500.0, 1000.0, 2000.0),
    "dma_line_ns": (1.49, 2.98, 5.96),
}
"""What no measurement decides, and the values to try: half and twice the bandwidth."""


@dataclass(frozen=True)
class PlanResult:
    """The best schedule of one plan.

    Attributes
    ----------
    workload, memory:
        What was tuned, and where its weights are.
    best:
        The best record, or ``None``.
    measured:
        Candidates that were evaluated.
    reason:
        Why there is no record.
    what_if:
        Microseconds of the best schedule by the names of :data:`WHAT_IF` and their values.
    """

    workload: str
    memory: Memory
    best: Record | None = None
    measured: int = 0
    reason: str | None = None
    what_if: Mapping[str, Mapping[float, float]] = field(default_factory=dict, hash=False)

    def as_json(self) -> dict[str, Any]:
        """Return the row of ``compare-memory --json``."""
        counts = self.best.counts if self.best else None
        time = counts.time if counts else None
        return {
            "workload": self.workload,
            "memory": str(self.memory),
            "record": self.best.id if self.best else None,
            "space": self.best.space if self.best else None,
            "measured": self.measured,
            "verified": self.best is not None,
            "estimated_us": time.nanoseconds / 1e3 if time else None,
            "time_us": time.as_json() if time else None,
            "packets_total": counts.packets_total if counts else None,
            "packets_critical": counts.packets_critical if counts else None,
            "reason": self.reason,
            "what_if_us": {
                name: {f"{value:g}": us for value, us in values.items()}
                for name, values in self.what_if.items()
            },
        }


def compare_memory(
    workload: Workload,
    *,
    target: HexagonTarget,
    metric: str,
    trials: int,
    seed: int,
    records: str | None,
    memories: Sequence[Memory] = tuple(Memory),
    what_if: bool = False,
    events: Callable[[Event], None] = lambda _: None,
) -> Iterator[PlanResult]:
    """Tune a workload once for each plan, with as many candidates each, and yield the best of each.

    After an interrupt, of which ``events`` is told, the plans that are left are not begun.

    Every candidate runs on the embedded device and is compared with the reference bit for bit; the
    same call again measures nothing twice.

    Parameters
    ----------
    workload, target, metric:
        What to tune, for what, and the estimated time that ranks.
    trials, seed, records:
        As for :func:`~vrmpy_tune.tune.run.tune`.
    memories:
        Which plans.
    what_if:
        Whether to estimate the best schedules once more with other parameters of the DMA.
    events:
        Told what happens.

    Raises
    ------
    DeviceError, StoreError, ToolchainError
        If the device, the store or the toolchain cannot be used.
    """
    for memory in memories:
        if not spaces_for(workload, target, (memory,)):
            yield PlanResult(str(workload), memory, reason=NO_ROOM)
            continue
        try:
            results = tune(
                [workload], target=target, metric=metric, trials=trials, seed=seed,
                records=records, memories=(memory,), early_stop=False, events=events,
            )  # fmt: skip
        except NoValidCandidateError as error:
            yield PlanResult(str(workload), memory, reason=str(error))
            continue
        if not results:  # interrupted before any candidate was verified
            return
        (result,) = results
        asked = what_if and memory in BY_DMA
        tried = _what_if(result.best, workload, target, metric) if asked else {}
        yield PlanResult(str(workload), memory, result.best, result.measured, what_if=tried)
        if result.interrupted:
            return


def _what_if(
    record: Record, workload: Workload, target: HexagonTarget, metric: str
) -> dict[str, dict[float, float]]:
    """Estimate a record's schedule with other parameters of the DMA."""
    from vrmpy_tune.device.qemu import QemuDevice

    profile = profile_of(metric)
    with (
        tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as directory,
        QemuDevice() as device,
    ):
        trace = _trace(record, workload, target, device, Path(directory))
        with TraceSimulator([trace]) as simulator:
            return {
                name: {
                    value: simulator.estimate(profile.with_values({name: value}))[0].nanoseconds
                    / 1e3
                    for value in values
                }
                for name, values in WHAT_IF.items()
            }


def _trace(
    record: Record, workload: Workload, target: HexagonTarget, device: QemuDevice, directory: Path
) -> Path:
    from vrmpy_tune.compiler.kernel import build_kernel

    space = find_space(record.space)
    assert space is not None  # the record was just made in it
    schedule = replay(space.module(workload), record.trace)
    inputs, output = space.inputs(workload), space.output(workload)
    with CodegenPool(1) as pool:
        kernel = build_kernel(schedule.mod, inputs, output, target, pool)
    code, trace = directory / "kernel.o", directory / "call.trace"
    code.write_bytes(kernel.code)
    operands = Verifier(workload).arguments(space)[0]
    device.trace(Job(code, "main", inputs, (output,), record.metric), operands, target, trace)
    return trace
