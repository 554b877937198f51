"""What a tuning run's events add up to; the displays in :mod:`vrmpy_tune.cli.displays` show it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vrmpy_tune.measurement import DEFAULT_METRIC, Outcome, figure_text
from vrmpy_tune.tune.events import CandidateMeasured, RunFinished, RunStarted

if TYPE_CHECKING:
    from collections.abc import Callable

    from vrmpy_tune.tune.events import Event


@dataclass
class TaskProgress:
    """How far the search for one workload is.

    Attributes
    ----------
    workload:
        Canonical text.
    trials, done:
        Candidates it will get in all its spaces, and those whose outcome is known.
    cached:
        Those among the latter that were remembered.
    best:
        The best figure so far, in packets or nanoseconds.
    macs_per_packet, ceiling_fraction:
        Of the best so far.
    failures:
        Candidates by class of failure, cut ones included.
    finished:
        Whether its search has ended, perhaps before ``trials``.
    metric:
        What the figure is of.
    """

    workload: str
    trials: int
    done: int = 0
    cached: int = 0
    best: int | None = None
    macs_per_packet: float | None = None
    ceiling_fraction: float | None = None
    failures: Counter[Outcome] = field(default_factory=Counter)
    finished: bool = False
    metric: str = DEFAULT_METRIC

    def observe(self, event: CandidateMeasured) -> bool:
        """Take a candidate of any of the workload's spaces in; return whether it is the best."""
        self.done += 1
        self.cached += event.cached
        if event.outcome is not Outcome.OK:
            self.failures[event.outcome] += 1
        if event.best is None or (self.best is not None and self.best <= event.best):
            return False
        self.best = event.best
        self.macs_per_packet = event.macs_per_packet
        self.ceiling_fraction = event.ceiling_fraction
        return True

    @property
    def best_text(self) -> str:
        """The best so far in words, for example ``"312,345 packets, 241.7 MACs/packet"``."""
        if self.best is None:
            return "no verified candidate yet"
        text = figure_text(self.best, self.metric)
        if self.macs_per_packet is not None:
            text += f", {self.macs_per_packet:.1f} MACs/packet"
        if self.ceiling_fraction is not None:
            text += f", {self.ceiling_fraction:.1%} of the ceiling"
        return text

    @property
    def failures_text(self) -> str:
        """Failures by class, most frequent first, for example ``"3 cut, 1 build-error"``."""
        return ", ".join(f"{count} {outcome}" for outcome, count in self.failures.most_common())


class Progress:
    """The state of a whole run, computed from its events.

    Parameters
    ----------
    clock:
        Returns the time in seconds; replaced in tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._time_s: float | None = None
        self.tasks: dict[str, TaskProgress] = {}

    def observe(self, event: Event) -> TaskProgress | None:
        """Take an event in; return the task that has a new best, if there is one."""
        match event:
            case RunStarted():
                self._started = self._clock()
                self._time_s = event.time_s
                shares = event.shares or (event.trials,) * len(event.workloads)
                pairs = zip(event.workloads, shares, strict=True)
                self.tasks = {
                    text: TaskProgress(text, share, metric=event.metric) for text, share in pairs
                }
            case CandidateMeasured():
                task = self.tasks[event.workload]
                return task if task.observe(event) else None
            case RunFinished():
                self.tasks[event.workload].finished = True
        return None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run started."""
        return self._clock() - self._started

    @property
    def candidates_per_minute(self) -> float:
        """Candidates really measured a minute of the run, search included."""
        fresh = sum(task.done - task.cached for task in self.tasks.values())
        return 60.0 * fresh / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimate of the seconds left, by the rate so far and by the time limit."""
        limits = []
        if self._time_s is not None:
            limits.append(self._time_s - self.elapsed_s)
        if rate := self.candidates_per_minute:
            open_tasks = [task for task in self.tasks.values() if not task.finished]
            limits.append(60.0 * sum(task.trials - task.done for task in open_tasks) / rate)
        return max(0.0, min(limits)) if limits else None
