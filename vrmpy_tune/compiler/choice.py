"""Choosing the schedule of a workload: a stored record if one applies, else a fixed rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from search_spaces import spaces_for
from search_spaces.aim import Aim
from vrmpy_tune.measurement import QEMU_PACKETS

if TYPE_CHECKING:
    from tvm.s_tir import Schedule

    from search_spaces.space import Space
    from vrmpy_tune.records.resolution import Resolution
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
        The record that was applied, or why there is none.
    """

    workload: Workload
    space: Space
    schedule: Schedule
    found: Resolution

    @property
    def reason(self) -> str:
        """A sentence: which record was applied, and how, or why none."""
        applied = self.found.applied
        return self.found.reason if applied is None else applied.reason


def choose(found: Resolution) -> Choice:
    """Return the schedule of the record that applies, or the fixed rule's where there is none."""
    if found.applied is not None:
        return Choice(found.workload, found.applied.space, found.applied.schedule, found)
    return Choice(found.workload, *fixed_schedule(found.workload, found.target), found)


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
