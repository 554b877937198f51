"""The cost model: the packet arithmetic, corrected by MetaSchedule's XGBoost, with a guard.

Candidates are ranked by :meth:`search_spaces.space.Space.estimate` times what the learned model
says the estimate is off by; before there are measurements it says nothing.  If the model fails on
one task, the search of that task goes on at random, and the others' with the model.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tvm
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from search_spaces.aim import TOTAL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from search_spaces.aim import Aim
    from search_spaces.space import Space
    from vrmpy_tune.tune.transfer import Similar
    from vrmpy_tune.workload import Workload

WARMUP: Final = 8
"""Measurements before the learned model corrects the estimate."""

FEATURES: Final = 32
"""Features of a candidate; spaces with fewer leave zeros before the last, the estimate."""

SHARPNESS: Final = 4
"""Exponent of the scores: the evolutionary search draws parents in proportion to them, and packets
of good and bad candidates differ too little for that."""


class TaskTable:
    """Which workload and space each tuning task is about, by the name of the task.

    Parameters
    ----------
    aim:
        What the tasks' estimates are of: the metric that is tuned for.
    """

    def __init__(self, aim: Aim = TOTAL) -> None:
        self._aim = aim
        self._tasks: dict[str, tuple[Workload, Space]] = {}

    def add(self, name: str, workload: Workload, space: Space) -> None:
        """Register a task."""
        self._tasks[name] = (workload, space)

    def knows(self, name: str) -> bool:
        """Whether there is a task of this name."""
        return name in self._tasks

    def features(self, context: Any, candidates: Sequence[Any]) -> np.ndarray:
        """Return one row of features for each candidate, float32."""
        workload, space = self._tasks[str(context.task_name)]
        rows = np.zeros((len(candidates), FEATURES), np.float32)
        for row, one in zip(rows, candidates, strict=True):
            *choices, estimate = space.features(workload, one.sch.trace, self._aim)
            row[: len(choices)], row[-1] = choices, estimate
        return rows

    def estimates(self, context: Any, candidates: Sequence[Any]) -> np.ndarray:
        """Return the estimate of each candidate, relative to its workload's size; positive."""
        rows = self.features(context, candidates)
        return np.maximum(rows[:, -1].astype(np.float64), 1e-9)


class DecisionFeatures:
    """Feature extractor that reads the decisions of a trace instead of the lowered program."""

    def __init__(self, tasks: TaskTable) -> None:
        self.tasks = tasks

    def extract_from(self, context: Any, candidates: Sequence[Any]) -> list[Any]:
        """Return one array of one row for each candidate."""
        rows = self.tasks.features(context, candidates)
        return [tvm.runtime.tensor(row[np.newaxis]) for row in rows]


def learned_model(tasks: TaskTable, seed: int) -> Any:
    """Return MetaSchedule's XGBoost model on the features of decisions."""
    # Without the wrapper by which C++ would call it, so that it takes plain traces, too.
    model = ms.cost_model.XGBModel._cls(
        config=ms.cost_model.xgb_model.XGBConfig(seed=seed, nthread=1),
        num_warmup_samples=0,
        verbose_eval=0,
    )
    model.extractor = DecisionFeatures(tasks)
    return model


@derived_object
class GuardedModel(ms.cost_model.PyCostModel):  # type: ignore[misc]
    """XGBoost with a prior before it and chance behind it.

    Parameters
    ----------
    tasks:
        The tasks of the run.
    seed:
        Seed of the fallback's random scores.
    warn:
        Called with a sentence when the model fails on a task, once for each task.
    model:
        The learned model; :func:`learned_model` by default.

    Attributes
    ----------
    failed:
        Names of the tasks on which the model failed, which are searched at random.
    """

    def __init__(
        self, tasks: TaskTable, seed: int, warn: Callable[[str], None], model: Any = None
    ) -> None:
        super().__init__()
        self.tasks = tasks
        self.model = model or learned_model(tasks, seed)
        self.generator = np.random.default_rng(seed)
        self.warn = warn
        self.failed: set[str] = set()
        self.measured = 0

    def load(self, path: str) -> None:
        """Load the learned model."""
        self.model.load(path)

    def save(self, path: str) -> None:
        """Save the learned model."""
        self.model.save(path)

    def update(self, context: Any, candidates: Sequence[Any], results: Sequence[Any]) -> None:
        """Learn from measurements by how much their estimates were off."""
        self.measured += len(results)
        if results and str(context.task_name) not in self.failed:
            try:
                estimates = self.tasks.estimates(context, candidates)
                ratios = [_over(one, by) for one, by in zip(results, estimates, strict=True)]
                self.model.update(context, candidates, ratios)
            except Exception as error:
                self._fail(context, error)

    def learn(self, space: Space, similar: Sequence[Similar]) -> None:
        """Learn from the records of similar workloads how candidates of a space compare."""
        for one in similar:
            if not one.is_instructive:
                continue
            name = f"{one.workload} {space.name}"
            if self.tasks.knows(name):
                continue
            self.tasks.add(name, one.workload, space)
            context = SimpleNamespace(task_name=name, mod=space.module(one.workload))
            candidates = [SimpleNamespace(sch=SimpleNamespace(trace=trace)) for trace in one.traces]
            results = [SimpleNamespace(run_secs=[float(record.value)]) for record in one.records]
            self.update(context, candidates, results)

    def predict(self, context: Any, candidates: Sequence[Any]) -> np.ndarray:
        """Return a score for each candidate; higher is better.  Of no candidates, that is none."""
        if not len(candidates):
            return np.zeros(0)  # an exhausted space: the learned model cannot take an empty batch
        if str(context.task_name) in self.failed:
            return self.generator.random(len(candidates))
        try:
            scores = 1.0 / self.tasks.estimates(context, candidates)
            if self.measured >= WARMUP:
                learned = np.asarray(self.model.predict(context, candidates), np.float64)
                if learned.shape != scores.shape or not np.isfinite(learned).all():
                    raise ValueError("it predicted something that is not a finite number")
                scores *= np.maximum(learned, 1e-3)
        except Exception as error:
            self._fail(context, error)
            return self.generator.random(len(candidates))
        return scores**SHARPNESS

    def scores(self, task: str, traces: Sequence[Any]) -> np.ndarray:
        """Return the scores of traces, real or plain, of the task called ``task``."""
        return self.predict(SimpleNamespace(task_name=task), _candidates(traces))

    def _fail(self, context: Any, error: Exception) -> None:
        task = str(context.task_name)
        self.failed.add(task)
        self.warn(
            f"The cost model failed on {task} ({type(error).__name__}: {str(error)[:200]}); "
            "its search goes on at random."
        )


def cost_of(score: float) -> float:
    """Return what the score of a candidate says of its packets, up to a constant of its task."""
    return float(max(score, 1e-30) ** (-1.0 / SHARPNESS))


def gain_of(score: float, known: float) -> float:
    """Return how much better than that of ``known`` a score is, as a fraction of the packets."""
    return 1.0 - cost_of(score) / cost_of(known)


def _candidates(traces: Sequence[Any]) -> list[Any]:
    """Return what looks like MetaSchedule's candidates with these traces."""
    return [SimpleNamespace(sch=SimpleNamespace(trace=trace)) for trace in traces]


def _over(result: Any, estimate: float) -> Any:
    """Return a runner's result relative to the estimate; one without a time as it is."""
    if not result.run_secs:
        return result
    return SimpleNamespace(run_secs=[float(one) / float(estimate) for one in result.run_secs])
