"""One record for every fused variant: the choices of one workload on another with the same anchor.

The anchor of a convolution or dense layer is its bare reduction: shapes and types, without what is
done with the sums.  Variants have different programs, so that a trace does not replay from one to
the other; its choices do, where the variant has the same ones, and otherwise those are taken that
use the machine most alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from search_spaces import find_space
from search_spaces.aim import Aim
from vrmpy_tune.errors import WorkloadError
from vrmpy_tune.workload import Contraction, parse_workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tvm.s_tir import Schedule

    from search_spaces.space import Space
    from vrmpy_tune.records.record import Record
    from vrmpy_tune.records.store import RecordReader
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.workload import Workload

DRAWS: Final = 2048
"""Choices of each design space among which the one most alike is looked for."""

ESTIMATE_ERROR: Final = 0.02
"""What the packet arithmetic is off by between good tiles, about; measured on the peers'
workloads."""


@dataclass(frozen=True)
class Transplant:
    """A variant's schedule that was made from another workload's record.

    Attributes
    ----------
    record:
        The other workload's record.
    space, schedule:
        The variant's.
    same_choices:
        Whether the choices are exactly the record's; else the nearest that the variant has.
    """

    record: Record
    space: Space
    schedule: Schedule
    same_choices: bool

    @property
    def reason(self) -> str:
        """A sentence: which record, and how its choices fit."""
        fit = "the same choices" if self.same_choices else "the nearest choices"
        record = self.record
        return (
            f"Record {record.short_id} of {record.workload}, which has the same anchor: "
            f"{record.value:,} packets ({record.metric}) there; {fit} here."
        )


def anchor_of(workload: Workload) -> Workload:
    """Return the workload without its epilogue; itself if it has none."""
    if not isinstance(workload, Contraction):
        return workload
    return replace(
        workload, out="i32", bias=0, requant="none", act="none", residual=0, lzp=0, rzp=0
    )


def from_variant(
    workload: Workload, target: HexagonTarget, records: RecordReader, metrics: Sequence[str]
) -> Transplant | None:
    """Return the schedule that the likest variant's record gives, if there is one.

    Raises
    ------
    StoreError
        If a store cannot be read.
    """
    for record in variants(workload, target.name, records, metrics):
        taken = transplant(workload, record, target)
        if taken is not None:
            return taken
    return None


def variants(
    workload: Workload, target: str, records: RecordReader, metrics: Sequence[str]
) -> Iterator[Record]:
    """Yield the best record of each other workload with the same anchor, the likest first.

    Raises
    ------
    StoreError
        If a store cannot be read.
    """
    anchor = anchor_of(workload)
    prefix = f"{workload.operator}:"
    others = []
    for text in records.workloads():
        other = _parse(text) if text.startswith(prefix) else None
        if other is not None and other != workload and anchor_of(other) == anchor:
            others.append(other)
    others.sort(key=lambda other: (_unlike(workload, other), str(other)))
    for metric in metrics:
        for other in others:
            record = records.best(str(other), target, metric)
            if record is not None:
                yield record


def transplant(workload: Workload, record: Record, target: HexagonTarget) -> Transplant | None:
    """Return the schedule of ``workload`` with the choices of a record of another variant.

    ``None`` if the record's search space is not one of the workload's.
    """
    from tvm.s_tir import Schedule

    from vrmpy_tune.tune.draws import Design, chosen_in, plain_trace

    space = find_space(record.space)
    if space is None or not space.applies(workload, target):
        return None
    module = space.module(workload)
    designs = [
        Design.of(schedule.trace)
        for schedule in space.generator(workload, target)(Schedule(module, seed=1))
    ]
    random = np.random.default_rng(0)
    draws = [draw for design in designs for draw in design.draw(DRAWS, random)]
    if not draws:
        return None
    trace = plain_trace(record.trace)
    aim = Aim.of(record.metric, target)
    wanted = space.features(parse_workload(record.workload), trace, aim)
    features = np.array([space.features(workload, draw.plain, aim) for draw in draws])
    good = np.array([space.is_good(draw.plain) for draw in draws])
    same_choices = np.array([draw.chosen == chosen_in(trace) for draw in draws])
    best, same = _nearest(features, np.array(wanted), good, same_choices)
    draw = draws[best]
    return Transplant(record, space, draw.schedule(module), same_choices=same)


def _nearest(
    features: np.ndarray, wanted: np.ndarray, good: np.ndarray, same_choices: np.ndarray
) -> tuple[int, bool]:
    """Return the draw that is equal in all features, or else nearest, and whether it is equal.

    Of equally near ones, it is one with ``same_choices``, if there is one.  The last feature is the
    estimate.  Only what the arithmetic thinks about as good as the best, and ``good``, is compared:
    the tiles of a variant without requantization may be very poor ones with it.
    """
    rows, estimates = np.log1p(features[:, :-1]), features[:, -1]
    scale = np.maximum(rows.std(axis=0), 1e-6)
    apart = (np.abs(rows - np.log1p(wanted[:-1])) / scale).sum(axis=1).round(9)
    poor = (estimates > (1.0 + ESTIMATE_ERROR) * estimates.min()) | ~good
    order = np.lexsort((estimates, ~same_choices, apart, poor & (apart > 0)))
    best = int(order[0])
    return best, bool(apart[best] == 0)


def _unlike(workload: Workload, other: Workload) -> int:
    """Count the fields that differ; one that changes the tiles counts as many."""
    if not isinstance(workload, Contraction) or not isinstance(other, Contraction):
        return 0
    fields = ("bias", "requant", "act", "residual", "lzp", "rzp")
    differing = sum(bool(getattr(workload, one) != getattr(other, one)) for one in fields)
    if (workload.out == "i32") != (other.out == "i32"):
        differing += len(fields)
    return differing


def _parse(text: str) -> Workload | None:
    try:
        return parse_workload(text)
    except WorkloadError:
        return None  # of a newer version
