"""A benchmark run: the rows of a suite, measured on all slots of the device at once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.bench.compare import compared, summary
from vrmpy_tune.bench.metaschedule import CANDIDATES
from vrmpy_tune.bench.row import FIXED, METASCHEDULE, OWN_SYSTEMS, TUNED, Row, missing, of_peer
from vrmpy_tune.device.open import open_device
from vrmpy_tune.errors import DeviceError
from vrmpy_tune.measurement import figure_text
from vrmpy_tune.records.location import default_url, open_store, open_stores
from vrmpy_tune.suites.peer_rows import peer_rows
from vrmpy_tune.suites.peers import variant_called
from vrmpy_tune.toolchain.pool import CodegenPool
from vrmpy_tune.toolchain.versions import require_toolchain
from vrmpy_tune.tune.interrupt import stopping_on_interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vrmpy_tune.suites import Member, Suite
    from vrmpy_tune.suites.peer_rows import Peer
    from vrmpy_tune.target import HexagonTarget

INTERRUPTED: Final = "Not measured: the run was interrupted."
NOT_ASKED: Final = "Not measured: --no-untuned leaves it out."
QUICK: Final = (TUNED, FIXED, METASCHEDULE)
"""Systems of ours to show; of MetaSchedule's defaults, what is known already."""


@dataclass(frozen=True)
class BenchReport:
    """The rows of a benchmark.

    Attributes
    ----------
    suite, metric, target:
        What was measured.
    rows:
        Ours first, in the suite's order, then the peers'.
    interrupted:
        Whether rows are missing because the user stopped the run.
    more:
        Further fields of the JSON form.
    """

    suite: str
    metric: str
    target: str
    rows: tuple[Row, ...]
    interrupted: bool = False
    more: dict[str, Any] = field(default_factory=dict, hash=False)

    def as_json(self) -> dict[str, Any]:
        """Return the document of ``bench --json``."""
        return {
            "suite": self.suite,
            "metric": self.metric,
            "target": self.target,
            "interrupted": self.interrupted,
            "rows": [row.as_json() for row in self.rows],
            "summary": summary(self.rows),
            **self.more,
        }


def bench_suite(
    suite: Suite,
    *,
    target: HexagonTarget,
    metric: str,
    records: Sequence[str],
    device: str = "qemu",
    variants: Sequence[str] = (),
    systems: Sequence[str] = QUICK,
    exact: bool = False,
    find_out: bool = False,
    candidates: int = CANDIDATES,
    progress: Callable[[str], None] = lambda _: None,
) -> BenchReport:
    """Measure the members of a suite now, and put the peers' rows beside them.

    Parameters
    ----------
    suite, variants:
        What to measure; all variants by default.
    target, metric, device:
        What for, by what, and where.
    records:
        Stores to look in, in order.
    systems:
        Which of :data:`~vrmpy_tune.bench.row.OWN_SYSTEMS` to measure; the others' rows are null.
    exact:
        Accept no record of another toolchain, nor of another variant.
    find_out:
        Measure what takes minutes: MetaSchedule's own defaults, where no store knows them.
    candidates:
        How many of MetaSchedule's own defaults are drawn for a workload, or were.
    progress:
        Told a line for each row.

    Raises
    ------
    UsageError
        If a variant does not exist.
    DeviceError, StoreError, ToolchainError
        If nothing can be measured at all.
    """
    members = suite.select(variants)
    require_toolchain()
    rows, interrupted = measure_members(
        members, systems, target=target, metric=metric, records=records, device=device,
        exact=exact, find_out=find_out, candidates=candidates, progress=progress,
    )  # fmt: skip
    rows += [
        missing(member, system, metric, NOT_ASKED)
        for member in members
        for system in OWN_SYSTEMS
        if system not in systems
    ]
    rows += [of_peer(peer, metric) for peer in peer_rows() if stands_beside(peer, members)]
    return BenchReport(suite.name, metric, target.name, tuple(compared(rows, target)), interrupted)


def measure_members(
    members: Sequence[Member],
    systems: Sequence[str],
    *,
    target: HexagonTarget,
    metric: str,
    records: Sequence[str],
    device: str,
    exact: bool = False,
    find_out: bool = False,
    candidates: int = CANDIDATES,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[list[Row], bool]:
    """Measure each member with each system; return the rows, and whether it was interrupted.

    Raises
    ------
    DeviceError, StoreError, ToolchainError
        If nothing can be measured at all.
    """
    from vrmpy_tune.bench.measure import Bench

    stopped = Event()
    with (
        open_store(writable_store(records)) if find_out else nullcontext() as kept,
        open_stores(records) as reader,
        open_device(device) as opened,
    ):
        info = opened.info()
        if target.name not in info.targets or metric not in info.metrics:
            raise DeviceError(
                f"The device ({info.description}) cannot measure {metric} on {target.name}."
            )
        with (
            # Kernels run wherever the device is, but code is generated here.
            CodegenPool(min(info.slots, len(os.sched_getaffinity(0)))) as pool,
            ThreadPoolExecutor(info.slots) as threads,
            stopping_on_interrupt(stopped.set) as interrupted,
        ):
            bench = Bench(target, metric, opened, pool, reader, exact, kept, candidates)

            def measure(member: Member) -> list[Row]:
                if stopped.is_set():
                    return [missing(member, system, metric, INTERRUPTED) for system in systems]
                found = bench.rows(member, systems)
                for row in found:
                    progress(line(row))
                return found

            rows = [row for found in threads.map(measure, members) for row in found]
            return rows, interrupted()


def writable_store(records: Sequence[str]) -> str:
    """Return the first of the stores that can be written, else the user's own."""
    for source in records:
        if not Path(source).is_dir() and not source.endswith(".jsonl"):
            return source
    return default_url()


def line(row: Row) -> str:
    """Return a row in words."""
    if row.value is None or row.macs_per_packet is None:
        return f"{row.workload} {row.system}: {row.reason}"
    return (
        f"{row.workload} {row.system}: {figure_text(row.value, row.metric)}, "
        f"{row.macs_per_packet:.1f} MACs/packet"
    )


def stands_beside(peer: Peer, members: Sequence[Member]) -> bool:
    """Whether a peer's row belongs to a suite's selection: any row, if whole shapes are chosen."""
    own = [member for member in members if member.peer_workload == peer.workload]
    chosen = {member.variant for member in members}
    if len(chosen) > 1 and own:
        return True
    variants = [variant_called(name) for name in chosen]
    return bool(own) and any(one is not None and one.may_compare(peer) for one in variants)
