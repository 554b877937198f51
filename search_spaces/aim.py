"""What a choice is estimated for: packets as on one context, or on the busiest of several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vrmpy_tune.measurement import QEMU_PACKETS
from vrmpy_tune.workload import ceildiv

if TYPE_CHECKING:
    from vrmpy_tune.target import HexagonTarget

IDLE_COST: Final = 0.02
"""What it costs to leave a context idle where packets of all contexts are counted together: next to
nothing, but of choices that are equal otherwise, the one that keeps all busy is worth more."""


@dataclass(frozen=True)
class Aim:
    """What an estimate is of.

    Attributes
    ----------
    contexts:
        HVX contexts that parallel tasks are spread over.
    idle_cost:
        What a context costs that waits for others, next to one that works: 0 where packets are
        counted wherever they are executed, 1 where the busiest context decides.
    """

    contexts: int = 1
    idle_cost: float = 0.0

    @staticmethod
    def of(metric: str, target: HexagonTarget) -> Aim:
        """Return the aim of a search by a metric; estimated times are on all contexts, too."""
        return Aim(target.contexts, IDLE_COST if metric == QEMU_PACKETS else 1.0)

    def idleness(self, tasks: int) -> float:
        """Return how many contexts wait for each one that works, with so many equal tasks."""
        return self.contexts * ceildiv(tasks, self.contexts) / tasks - 1

    def factor(self, tasks: int) -> float:
        """Return what the packets of so many equal tasks count, in place of 1."""
        return 1 + self.idle_cost * self.idleness(tasks)


TOTAL: Final = Aim()
"""Packets of all contexts together, and nothing else."""
