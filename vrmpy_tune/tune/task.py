"""One tuning task: a workload in one search space, with its budget and its best so far."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.measurement import QEMU_PACKETS, Outcome, is_time
from vrmpy_tune.records.record import canonical_trace
from vrmpy_tune.replay import trace_json
from vrmpy_tune.tune.candidate import hash_of
from vrmpy_tune.verification import Verifier

if TYPE_CHECKING:
    import tvm

    from search_spaces.space import Space
    from vrmpy_tune.records.record import Record
    from vrmpy_tune.tune.draws import Draw
    from vrmpy_tune.tune.transfer import Similar
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
        Candidates that the workload may spend in all its spaces.
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
    settled:
        Figures of the candidates whose batch is complete, in the order in which they were proposed;
        ``None`` for failures.
    ended:
        Whether the search ended before the trials were spent.
    similar:
        What is known of similar workloads.
    records:
        All records so far, by id.
    fixed:
        What the workload is compiled with untuned, if that is a choice of this space.
    """

    workload: Workload
    space: Space
    trials: int
    verifier: Verifier
    best: Record | None = None
    measured: int = 0
    failures: dict[Outcome, int] = field(default_factory=dict)
    sent: int = 0
    settled: list[int | None] = field(default_factory=list)
    ended: bool = False
    similar: tuple[Similar, ...] = ()
    records: dict[str, Record] = field(default_factory=dict)
    fixed: Draw | None = None

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

    @cached_property
    def fixed_trace(self) -> str | None:
        """Canonical text of the fixed rule's choice, if it is one of this space."""
        if self.fixed is None:
            return None
        return canonical_trace(trace_json(self.fixed.schedule(self.module).trace))

    def random_state(self, seed: int) -> int:
        """Return the seed of this task's search: its own, whatever else is tuned in the run."""
        return 1 + zlib.crc32(f"{seed} {self.name}".encode()) % (2**31 - 2)

    def packet_limit(self) -> int | None:
        """Return the packets, of all contexts together, after which a candidate is hopeless."""
        if self.best is None:
            return None
        counts = self.best.counts
        if self.best.metric == QEMU_PACKETS:
            return int(HOPELESS * counts.packets_total)
        return int(HOPELESS * self._spread(self.best) * counts.packets_critical)

    def _spread(self, record: Record) -> int:
        """Return how many packets there may be for each one that the metric counts.

        No context executes more than the busiest, so that with so many contexts the total is at
        most that many times the critical path: a candidate with more packets has a longer one.
        """
        return 1 if record.metric == QEMU_PACKETS else max(1, len(record.counts.context_packets))

    @property
    def settled_best(self) -> int | None:
        """The best figure of complete batches."""
        return min((one for one in self.settled if one is not None), default=None)

    @property
    def bound_fraction(self) -> float:
        """The workload's packet bound over the best figure of complete batches, 1.0 at most."""
        if self.settled_best is None or self.best is None or is_time(self.best.metric):
            return 0.0  # nothing is known to bound a time from below
        return self.workload.packet_bound / self._spread(self.best) / self.settled_best

    def without_gain(self, gain: float) -> int:
        """Return how many candidates there were since the best figure last fell by ``gain``."""
        best, last = math.inf, 0
        for index, figure in enumerate(self.settled):
            if figure is not None and figure < (1.0 - gain) * best:
                best, last = figure, index + 1
        return len(self.settled) - last

    def note(self, outcome: Outcome, record: Any) -> None:
        """Count one evaluated candidate."""
        self.measured += 1
        if record is None:
            self.failures[outcome] = self.failures.get(outcome, 0) + 1
            return
        self.records[record.id] = record
        if self.best is None or record.sort_key < self.best.sort_key:
            self.best = record

    def correct(self, record: Record) -> None:
        """Take a record that was measured again, if it is one of this task's."""
        if record.id in self.records:
            self.records[record.id] = record
            self.best = min(self.records.values(), key=lambda one: one.sort_key)
