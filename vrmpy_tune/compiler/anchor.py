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
from vrmpy_tune.workload import Contraction, parse_workload

if TYPE_CHECKING:
    from collections.abc import Iterable

    import tvm
    from tvm.s_tir import Schedule

    from search_spaces.space import Space
    from vrmpy_tune.records.record import Record
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
    space, schedule:
        The variant's.
    same_choices:
        Whether the choices are exactly the record's; else the nearest that the variant has.
    """

    space: Space
    schedule: Schedule
    same_choices: bool

    @property
    def fit(self) -> str:
        """A sentence: how the record's choices fit."""
        return f"Taken here: {'the same' if self.same_choices else 'the nearest'} choices."


def anchor_of(workload: Workload) -> Workload:
    """Return the workload without its epilogue; itself if it has none."""
    if not isinstance(workload, Contraction):
        return workload
    return replace(
        workload, out="i32", bias=0, requant="none", act="none", residual=0, lzp=0, rzp=0
    )


def likest_first(workload: Workload, others: Iterable[Workload]) -> list[Workload]:
    """Return the other ones of some workloads with the same anchor, the likest first."""
    apart = [other for other in others if other != workload]
    return sorted(apart, key=lambda other: (_unlike(workload, other), str(other)))


def transplant(
    workload: Workload, record: Record, target: HexagonTarget, program: tvm.IRModule | None = None
) -> Transplant:
    """Return the schedule of ``workload`` with the choices of a record of another variant.

    Parameters
    ----------
    record:
        Of a search space that ``workload`` has on ``target``, too; its trace replays.
    program:
        The form of the workload's program to schedule; the space's ``module`` by default.

    Raises
    ------
    ValueError
        If the workload has no such search space.
    """
    from tvm.s_tir import Schedule

    from vrmpy_tune.tune.draws import Design, chosen_in, plain_trace

    space = find_space(record.space)
    if space is None or not space.applies(workload, target):
        raise ValueError(f"{workload} has no search space {record.space} on {target.name}.")
    module = space.module(workload)
    designs = [
        Design.of(schedule.trace)
        for schedule in space.generator(workload, target)(Schedule(module, seed=1))
    ]
    random = np.random.default_rng(0)
    draws = [draw for design in designs for draw in design.draw(DRAWS, random)]
    trace = plain_trace(record.trace)
    aim = Aim.of(record.metric, target)
    wanted = space.features(parse_workload(record.workload), trace, aim)
    features = np.array([space.features(workload, draw.plain, aim) for draw in draws])
    good = np.array([space.is_good(draw.plain) for draw in draws])
    same_choices = np.array([draw.chosen == chosen_in(trace) for draw in draws])
    best, same = _nearest(features, np.array(wanted), good, same_choices)
    draw = draws[best]
    schedule = draw.schedule(module if program is None else program)
    return Transplant(space, schedule, same_choices=same)


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
