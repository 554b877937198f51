"""One tuning task: a workload in one search space, with its budget and its best so far."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.measurement import QEMU_PACKETS, Outcome
from vrmpy_tune.tune.candidate import hash_of
from vrmpy_tune.verification import Verifier

if TYPE_CHECKING:
    import tvm

    from search_spaces.space import Space
    from vrmpy_tune.records.record import Record
    from vrmpy_tune.workload import Workload

HOPELESS: Final = 1.5
"""A candidate is cut once its figure is sure to be this many times that of the best one."""


@dataclass
class Task:
    """A workload in one search space.

    Attributes
    ----------
    workload, space:
        What is tuned.
    trials:
        Candidates to spend.
    verifier:
        Inputs and references, shared by the tasks of one workload.
    best:
        The best record so far.
    measured:
        Candidates evaluated so far, failures included.
    failures:
        How many ended in which class of failure.
    sent:
        Candidates proposed so far.
    """

    workload: Workload
    space: Space
    trials: int
    verifier: Verifier
    best: Record | None = None
    measured: int = 0
    failures: dict[Outcome, int] = field(default_factory=dict)
    sent: int = 0

    @property
    def name(self) -> str:
        """Unique name within a run."""
        return f"{self.workload} {self.space.name}"

    @cached_property
    def module(self) -> tvm.IRModule:
        """The unscheduled program."""
        return self.space.module(self.workload)

    @cached_property
    def structural_hash(self) -> str:
        """TVM's structural hash of the unscheduled program."""
        return hash_of(self.module)

    def random_state(self, seed: int) -> int:
        """Return the seed of this task's search: its own, whatever else is tuned in the run."""
        return 1 + zlib.crc32(f"{seed} {self.name}".encode()) % (2**31 - 2)

    def packet_limit(self) -> int | None:
        """Return the packets, of all contexts together, after which a candidate is hopeless."""
        if self.best is None:
            return None
        # Work that is spread evenly over all contexts is on the critical path of each once.
        contexts = 1 if self.best.metric == QEMU_PACKETS else len(self.best.counts.context_packets)
        return int(HOPELESS * max(1, contexts) * self.best.value)

    def note(self, outcome: Outcome, record: Any) -> None:
        """Count one evaluated candidate."""
        self.measured += 1
        if record is None:
            self.failures[outcome] = self.failures.get(outcome, 0) + 1
        elif self.best is None or record.sort_key < self.best.sort_key:
            self.best = record
