"""Who may spend how many candidates, and when spending more is of no use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vrmpy_tune.tune.effort import Effort
    from vrmpy_tune.tune.task import Task

BEHIND: Final = 1.1
"""A space whose best takes this many times the packets of another space's best gets no more."""

NEAR_BOUND: Final = 0.995
"""Share of the packet bound from which on nothing is left to gain."""

LAST_CHANCE: Final = 2
"""Patience runs out after this many times as many candidates, whatever the cost model promises."""


@dataclass(frozen=True)
class Allowance:
    """How many candidates a task may propose now.

    Attributes
    ----------
    count:
        How many; 0 ends its search.
    reason:
        Why its search ends before the budget is spent; empty if it does not.
    """

    count: int
    reason: str = ""


class Budget:
    """The candidates of one workload, shared by its search spaces.

    What it decides depends on the results of whole batches in the order in which they were
    proposed, never on how long they took.

    Parameters
    ----------
    tasks:
        The workload in each of its spaces.
    effort:
        Batch size, patience and gain.
    early_stop:
        Whether a search may end before its trials are spent.
    """

    def __init__(self, tasks: Sequence[Task], effort: Effort, *, early_stop: bool) -> None:
        self._tasks, self._effort, self._early_stop = tasks, effort, early_stop

    def allowance(self, task: Task, promise: Callable[[], float]) -> Allowance:
        """Return what ``task`` may propose now.

        Parameters
        ----------
        promise:
            Returns the gain that the cost model promises, as a fraction of the best figure.
        """
        left = task.trials - sum(one.sent for one in self._tasks)
        if left <= 0:
            return Allowance(0)
        if not task.sent:
            return Allowance(min(left, self._first_round(task)))
        reason = self._behind(task) or (self._early_stop and self._no_use(task, promise)) or ""
        if reason:
            task.ended = True
            return Allowance(0, reason)
        active = sum(not one.ended for one in self._tasks)
        return Allowance(min(self._effort.batch, -(-left // active)))

    def _first_round(self, task: Task) -> int:
        """Return the size of the first batch: half of an equal share, to keep some for the best."""
        spaces = len(self._tasks)
        if spaces == 1:
            return self._effort.batch
        index = self._tasks.index(task)
        share = task.trials * (index + 1) // spaces - task.trials * index // spaces
        return min(self._effort.batch, max(1, -(-share // 2)))

    def _behind(self, task: Task) -> str:
        bests = {one.space.name: one.settled_best for one in self._tasks if one is not task}
        known = {name: best for name, best in bests.items() if best is not None}
        own = task.settled_best
        if not known or own is None:
            return ""
        leader = min(known, key=lambda name: known[name])
        if own < BEHIND * known[leader]:
            return ""
        return f"{own / known[leader] - 1:.0%} behind {leader}"

    def _no_use(self, task: Task, promise: Callable[[], float]) -> str:
        if task.bound_fraction >= NEAR_BOUND:
            return f"at {task.bound_fraction:.1%} of the packet bound"
        patience, gain = self._effort.patience, self._effort.gain
        idle = task.without_gain(gain)
        if idle < patience or (idle < LAST_CHANCE * patience and promise() > gain):
            return ""
        return f"no gain in {idle}"
