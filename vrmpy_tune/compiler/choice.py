"""Choosing the schedule of a workload: a stored record if one applies, else a fixed rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from search_spaces import find_space, spaces_for
from search_spaces.aim import Aim
from vrmpy_tune.compiler.anchor import from_variant
from vrmpy_tune.errors import StaleRecordError
from vrmpy_tune.measurement import METRICS, QEMU_PACKETS
from vrmpy_tune.records.lookup import Lookup, Status, lookup
from vrmpy_tune.replay import replay
from vrmpy_tune.toolchain.codegen import provenance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tvm.s_tir import Schedule

    from search_spaces.space import Space
    from vrmpy_tune.records.record import Record
    from vrmpy_tune.records.store import RecordReader
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.tune.draws import Draw
    from vrmpy_tune.workload import Workload

FIXED_DRAWS: Final = 64
"""Choices drawn from each design space for the fixed rule."""


@dataclass(frozen=True)
class Choice:
    """The schedule that a workload is compiled with.

    Attributes
    ----------
    workload, space:
        What is compiled, and in which form.
    schedule:
        The scheduled program on packed weights.
    found:
        The lookup: the record that was applied, or why there is none.
    """

    workload: Workload
    space: Space
    schedule: Schedule
    found: Lookup


def choose(
    workload: Workload,
    target: HexagonTarget,
    records: RecordReader,
    *,
    metric: str | None = None,
    exact: bool = False,
    by_anchor: bool = False,
) -> Choice:
    """Return the best stored record's schedule, or the fixed rule's where there is none.

    Parameters
    ----------
    workload, target:
        What to compile.
    records:
        Where to look.
    metric:
        The only metric to accept; all of :data:`~vrmpy_tune.measurement.METRICS`, in order, by
        default.
    exact:
        Accept no record of another toolchain.
    by_anchor:
        Where the workload has no record, take the choices of another fused variant's record
        (:mod:`vrmpy_tune.compiler.anchor`).

    Raises
    ------
    StoreError
        If a store cannot be read.
    """
    found, space, schedule = stored_schedule(
        workload, target, records, metric=metric, exact=exact, by_anchor=by_anchor
    )
    if space is None or schedule is None:
        space, schedule = fixed_schedule(workload, target)
    return Choice(workload, space, schedule, found)


def stored_schedule(
    workload: Workload,
    target: HexagonTarget,
    records: RecordReader,
    *,
    metric: str | None = None,
    exact: bool = False,
    by_anchor: bool = False,
) -> tuple[Lookup, Space | None, Schedule | None]:
    """Return how the lookup of a record ended, and its space and schedule if there is one.

    The parameters and errors are those of :func:`choose`.
    """
    metrics = METRICS if metric is None else (metric,)
    found, space, schedule = applicable(workload, target, records, metrics, exact=exact)
    if schedule is None and by_anchor:
        taken = from_variant(workload, target, records, metrics)
        if taken is not None:
            found = Lookup(taken.record, Status.BY_ANCHOR, taken.reason, found.stale)
            return found, taken.space, taken.schedule
    return found, space, schedule


def applicable(
    workload: Workload,
    target: HexagonTarget,
    records: RecordReader,
    metrics: Sequence[str],
    *,
    exact: bool = False,
) -> tuple[Lookup, Space | None, Schedule | None]:
    """Return how the lookup of a workload's record ended, and its space and replayed schedule.

    Parameters
    ----------
    metrics:
        Metrics to accept, in order of preference.
    workload, target, records, exact:
        As for :func:`choose`.

    Raises
    ------
    StoreError
        If a store cannot be read.
    """
    replayed: dict[str, Schedule] = {}

    def replays(record: Record) -> bool:
        space = find_space(record.space)
        if space is None:
            return False
        try:
            replayed[record.id] = replay(space.module(workload), record.trace)
        except StaleRecordError:
            return False
        return True

    found = lookup(
        records,
        str(workload),
        target.name,
        metrics,
        toolchain=provenance(),
        exact=exact,
        replays=replays,
    )
    if found.record is None:
        return found, None, None
    return found, find_space(found.record.space), replayed[found.record.id]


def fixed_schedule(workload: Workload, target: HexagonTarget) -> tuple[Space, Schedule]:
    """Return the schedule that the packet arithmetic prefers among a few fixed draws.

    This is what an unknown workload is compiled with, the ``vrmpy_tune:fixed`` row of a benchmark,
    and the first candidate of a search.  A workload that no space covers stays as it is.
    """
    from tvm.s_tir import Schedule

    from vrmpy_tune.compiler.naive import Unscheduled

    found = fixed_draw(workload, target)
    if found is None:
        plain = Unscheduled(workload.operator, 1, "nothing may be chosen")
        return plain, Schedule(plain.module(workload))
    space, draw = found
    return space, draw.schedule(space.module(workload))


def fixed_draw(workload: Workload, target: HexagonTarget) -> tuple[Space, Draw] | None:
    """Return the choice of the fixed rule and its space; nothing is measured.

    ``None`` if no space covers the workload.
    """
    from tvm.s_tir import Schedule

    from vrmpy_tune.tune.draws import Design

    random, aim = np.random.default_rng(0), Aim.of(QEMU_PACKETS, target)
    best: tuple[float, bool, Space, Draw] | None = None
    for space in spaces_for(workload, target):
        designs = space.generator(workload, target)(Schedule(space.module(workload), seed=1))
        for design in designs:
            for draw in Design.of(design.trace).draw(FIXED_DRAWS, random):
                cost = space.estimate(workload, draw.plain, aim)
                one = (cost, not space.is_good(draw.plain), space, draw)
                if best is None or one[:2] < best[:2]:
                    best = one
    return None if best is None else best[2:]
