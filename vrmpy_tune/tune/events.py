"""What a tuning run tells whoever watches it: displays, log files, programs.

A run calls one function with each event, from one thread at a time and in order.  Events are
plain data: workloads are canonical texts, figures are packets and seconds.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vrmpy_tune.measurement import Outcome


@dataclass(frozen=True)
class Event:
    """What all events have in common."""

    kind: ClassVar[str]

    def as_json(self) -> dict[str, Any]:
        """Return the event as JSON data; ``"event"`` names its kind."""
        fields = {one.name: _plain(getattr(self, one.name)) for one in dataclasses.fields(self)}
        return {"event": self.kind, **fields}


@dataclass(frozen=True)
class RunStarted(Event):
    """A run begins.

    Attributes
    ----------
    workloads:
        Canonical texts, in the order in which they were given.
    target, metric:
        Names, as in records.
    seed:
        Seed of the search.
    trials:
        Candidates a workload.
    resume_command:
        The command that continues this run after an interruption.
    time_s:
        Seconds after which the run ends; ``None`` for no limit.
    shares:
        Candidates of each workload, where they are not ``trials`` for all.
    """

    kind: ClassVar[str] = "run-started"

    workloads: tuple[str, ...]
    target: str
    metric: str
    seed: int
    trials: int
    resume_command: str
    time_s: float | None = None
    shares: tuple[int, ...] = ()


@dataclass(frozen=True)
class TaskStarted(Event):
    """The search for one workload begins.

    Attributes
    ----------
    workload:
        Canonical text.
    spaces:
        Names of the search spaces that are searched, for example ``"dense.scalar/1"``.
    """

    kind: ClassVar[str] = "task-started"

    workload: str
    spaces: tuple[str, ...]


@dataclass(frozen=True)
class CandidateMeasured(Event):
    """The outcome of one candidate is known.

    Attributes
    ----------
    workload:
        Canonical text.
    outcome:
        How building and running it ended.
    value:
        Its figure in the run's metric (packets); ``None`` unless it was verified.
    best:
        The best figure of this workload in this space so far, this candidate included.
    macs_per_packet, ceiling_fraction:
        Of the best so far: multiply-accumulates a packet, and the workload's packet bound over
        the best figure (1.0 is the ceiling).
    index:
        Candidates of this workload in this space so far, this one included.
    trials:
        Candidates that this workload may get in all its spaces.
    cached:
        Whether the outcome was remembered, so that nothing ran.
    message:
        What went wrong; empty when nothing did.
    record:
        Id of the stored record; ``None`` unless it was verified.
    number:
        Its place among the workload's candidates in the order in which they were proposed, from 1:
        unlike the order of events, the same whatever took how long.
    generator:
        Name of the code generator that made its code; empty if there was none, or it is not known.
    fallback:
        Why that is not the one that the candidate asks for: what the packet scheduler did not
        understand.  Empty where nothing was built, or by the generator that was asked for.
    """

    kind: ClassVar[str] = "candidate-measured"

    workload: str
    outcome: Outcome
    value: int | None
    best: int | None
    macs_per_packet: float | None
    ceiling_fraction: float | None
    index: int
    trials: int
    cached: bool = False
    message: str = ""
    record: str | None = None
    number: int = 0
    generator: str = ""
    fallback: str = ""


@dataclass(frozen=True)
class BatchSearched(Event):
    """The search proposed a batch of candidates.

    Attributes
    ----------
    workload:
        Canonical text.
    seconds:
        Wall-clock seconds that proposing it took.
    candidates:
        How many were proposed.
    """

    kind: ClassVar[str] = "batch-searched"

    workload: str
    seconds: float
    candidates: int


@dataclass(frozen=True)
class RecordsTransferred(Event):
    """A search starts with what records of similar workloads say.

    Attributes
    ----------
    workload, space:
        What is searched: canonical text, and name of the search space.
    seeds:
        Candidates of the first batch that were mapped from such records.
    samples:
        Records that the cost model has learned from.
    records:
        For each similar workload its text and the ids of its records behind the seeds.
    """

    kind: ClassVar[str] = "records-transferred"

    workload: str
    space: str
    seeds: int
    samples: int
    records: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class SearchEnded(Event):
    """The search in one space ends before the trials are spent.

    Attributes
    ----------
    workload, space:
        Canonical text, and name of the search space.
    sent, trials:
        Candidates proposed in this space, and those that the workload had in all its spaces.
    reason:
        Why more would be of no use, for example ``"no gain in 32"``.
    """

    kind: ClassVar[str] = "search-ended"

    workload: str
    space: str
    sent: int
    trials: int
    reason: str


@dataclass(frozen=True)
class Warned(Event):
    """The run goes on, with less than it should have.

    Attributes
    ----------
    message:
        A sentence.
    """

    kind: ClassVar[str] = "warned"

    message: str


@dataclass(frozen=True)
class RunFinished(Event):
    """The search for one workload ended, and its result is stored.

    Attributes
    ----------
    workload:
        Canonical text.
    summary:
        The workload's entry in ``tune --json``.
    """

    kind: ClassVar[str] = "run-finished"

    workload: str
    summary: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Interrupted(Event):
    """The user stopped the run; what was running has been stored.

    Attributes
    ----------
    resume_command:
        The command that continues it.
    stored:
        Outcomes in the store that resuming will not measure again.
    """

    kind: ClassVar[str] = "interrupted"

    resume_command: str
    stored: int


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
