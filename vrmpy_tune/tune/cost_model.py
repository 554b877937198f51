"""The cost model: MetaSchedule's XGBoost on the decisions of a trace, with a prior and a guard.

Until there are enough measurements, candidates are ranked by the packet arithmetic of
:meth:`search_spaces.decisions.Decisions.estimate`; if the model fails, the search goes on at
random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tvm
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from search_spaces.space import Space
    from vrmpy_tune.workload import Workload

WARMUP: Final = 16
"""Measurements before the learned model replaces the prior."""

FEATURES: Final = 32
"""Features of a candidate; spaces with fewer leave zeros before the last, the estimate."""


class TaskTable:
    """Which workload and space each tuning task is about, by the name of the task."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[Workload, Space]] = {}

    def add(self, name: str, workload: Workload, space: Space) -> None:
        """Register a task."""
        self._tasks[name] = (workload, space)

    def features(self, context: Any, candidates: list[Any]) -> np.ndarray:
        """Return one row of features for each candidate, float32."""
        workload, space = self._tasks[str(context.task_name)]
        rows = np.zeros((len(candidates), FEATURES), np.float32)
        for row, one in zip(rows, candidates, strict=True):
            *choices, estimate = space.features(workload, one.sch.trace)
            row[: len(choices)], row[-1] = choices, estimate
        return rows


@derived_object
class DecisionFeatures(ms.feature_extractor.PyFeatureExtractor):  # type: ignore[misc]
    """Feature extractor that reads the decisions of a trace instead of the lowered program."""

    def __init__(self, tasks: TaskTable) -> None:
        super().__init__()
        self.tasks = tasks

    def extract_from(self, context: Any, candidates: list[Any]) -> list[Any]:
        """Return one array of one row for each candidate."""
        rows = self.tasks.features(context, candidates)
        return [tvm.runtime.tensor(row[np.newaxis]) for row in rows]


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
        Called once with a sentence when the model fails.
    model:
        The learned model; MetaSchedule's ``XGBModel`` by default.
    """

    def __init__(
        self, tasks: TaskTable, seed: int, warn: Callable[[str], None], model: Any = None
    ) -> None:
        super().__init__()
        self.tasks = tasks
        self.model = model or ms.cost_model.XGBModel(
            extractor=DecisionFeatures(tasks),
            config=ms.cost_model.xgb_model.XGBConfig(seed=seed, nthread=1),
            num_warmup_samples=WARMUP,
            verbose_eval=0,
        )
        self.generator = np.random.default_rng(seed)
        self.warn = warn
        self.failed = False
        self.measured = 0

    def load(self, path: str) -> None:
        """Load the learned model."""
        self.model.load(path)

    def save(self, path: str) -> None:
        """Save the learned model."""
        self.model.save(path)

    def update(self, context: Any, candidates: list[Any], results: list[Any]) -> None:
        """Learn from measurements."""
        self.measured += len(results)
        if not self.failed:
            try:
                self.model.update(context, candidates, results)
            except Exception as error:
                self._fail(error)

    def predict(self, context: Any, candidates: list[Any]) -> np.ndarray:
        """Return a score for each candidate; higher is better."""
        if self.failed:
            return self.generator.random(len(candidates))
        try:
            if self.measured < WARMUP:
                return self._prior(context, candidates)
            scores = np.asarray(self.model.predict(context, candidates), np.float64)
            if scores.shape != (len(candidates),) or not np.isfinite(scores).all():
                raise ValueError("it predicted something that is not a finite number")
        except Exception as error:
            self._fail(error)
            return self.generator.random(len(candidates))
        return scores

    def _prior(self, context: Any, candidates: list[Any]) -> np.ndarray:
        estimates = self.tasks.features(context, candidates)[:, -1].astype(np.float64)
        return 1.0 / np.maximum(estimates, 1e-9)

    def _fail(self, error: Exception) -> None:
        self.failed = True
        self.warn(
            f"The cost model failed ({type(error).__name__}: {str(error)[:200]}); "
            "the search goes on at random."
        )
