"""What is measured next: TVM's evolutionary search between a first population and a budget."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

import numpy as np
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from vrmpy_tune.tune.cost_model import cost_of, gain_of
from vrmpy_tune.tune.draws import Design, Draw, key_of, plain_trace
from vrmpy_tune.tune.population import (
    DRAWS,
    TOLERANCE,
    draw_all,
    first_population,
    unexplored,
)
from vrmpy_tune.tune.transfer import seeds_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tvm.s_tir import Schedule

    from vrmpy_tune.tune.draws import Key
    from vrmpy_tune.tune.effort import Effort
    from vrmpy_tune.tune.task import Task
    from vrmpy_tune.tune.transfer import Seed

SECONDS_PER_PACKET: Final = 1e-6
"""MetaSchedule ranks by seconds; any constant keeps the order of packets."""

SURPLUS: Final = 1.5
"""Candidates that the evolutionary search is asked for, over those that are measured: it does not
know the first population, and proposes some of it again."""

MAX_SPARE: Final = 64
"""Proposed candidates kept for later batches."""

MAX_EMPTY: Final = 3
"""Times that the search may propose nothing new before the space counts as exhausted."""

MEASURED_SHARE: Final = 0.5
"""Share of parents that were measured; the others are drawn, and liked by the cost model."""


class Director(Protocol):
    """Whom a strategy asks how far it may go, and tells what it proposes."""

    def allowance(self, task: Task, promise: Callable[[], float]) -> int:
        """Return how many candidates ``task`` may propose now; 0 ends its search.

        ``promise`` returns the gain that the cost model expects, as a fraction of the best figure.
        """
        ...

    def scores(self, task: Task, traces: list[Any]) -> np.ndarray:
        """Return the cost model's scores of traces, real or plain; higher is better."""
        ...

    def announce(self, task: Task, candidates: list[Any], seconds: float) -> None:
        """Take the batch that was just proposed, and the seconds it took."""
        ...

    def seeded(self, task: Task, seeds: list[Seed]) -> None:
        """Take what the first batch owes to records of similar workloads."""
        ...


class _Strategy(ms.search_strategy.PySearchStrategy):  # type: ignore[misc]
    """What the strategies have in common: the budget, and that nothing is proposed twice."""

    name: ClassVar[str]

    def __init__(self, director: Director, task: Task, effort: Effort, seed: int) -> None:
        super().__init__()
        self.director, self.task, self.effort, self.seed = director, task, effort, seed
        self.random = np.random.default_rng(seed)
        self.sent: set[Key] = set()

    def _initialize_with_tune_context(self, context: Any) -> None:
        """Need nothing of the context."""

    def pre_tuning(
        self,
        max_trials: int,
        num_trials_per_iter: int,
        design_spaces: list[Any],
        database: Any = None,
        cost_model: Any = None,
    ) -> None:
        self.designs = [Design.of(schedule.trace) for schedule in design_spaces]

    def post_tuning(self) -> None:
        """Hold nothing that must be let go."""

    def generate_measure_candidates(self) -> list[Any] | None:
        count = self.director.allowance(self.task, self.promise)
        if count <= 0:
            return None
        started = time.monotonic()
        proposed = self.propose(count)
        if not proposed:
            return None
        self.sent.update(proposed)
        batch = list(proposed.values())
        self.director.announce(self.task, batch, time.monotonic() - started)
        return batch

    def propose(self, count: int) -> dict[Key, Any]:
        """Return up to ``count`` candidates that were not proposed before, by their keys."""
        raise NotImplementedError

    def notify_runner_results(self, measure_candidates: list[Any], results: list[Any]) -> None:
        self.task.settled += [
            round(float(one.run_secs[0]) / SECONDS_PER_PACKET) if one.run_secs else None
            for one in results
        ]

    def clone(self) -> Any:
        return STRATEGIES[self.name](self.director, self.task, self.effort, self.seed)

    def promise(self) -> float:
        """Return the gain that the cost model expects of the best draw, over the best measured."""
        if self.task.best is None:
            return math.inf
        best = plain_trace(self.task.best.trace)
        traces = [best, *(draw.plain for draw in self.fresh_draws())]
        known, *others = self.director.scores(self.task, traces)
        return gain_of(max(others, default=0.0), known)

    def fresh_draws(self) -> list[Draw]:
        """Draw from every design space, leaving out what was proposed before."""
        draws = draw_all(self.designs, DRAWS, self.random)
        return [draw for draw in draws if draw.key not in self.sent]

    def candidates_of(self, draws: Iterable[Draw]) -> dict[Key, Any]:
        """Schedule what was drawn."""
        module = self.task.module
        return {draw.key: _candidate(draw.schedule(module)) for draw in draws}


@derived_object
class RandomSearch(_Strategy):
    """Draws from all design spaces alike: what every other strategy has to beat."""

    name: ClassVar[str] = "random"

    def propose(self, count: int) -> dict[Key, Any]:  # noqa: D102
        draws = self.fresh_draws()
        picked = self.random.permutation(len(draws))[:count]
        return self.candidates_of(draws[int(index)] for index in picked)


@derived_object
class Evolution(_Strategy):
    """Evolutionary search that starts from the known-good tiles.

    The first candidate is what the workload is compiled with untuned, so that a search never ends
    with less.  The rest of the first batch is
    :func:`~vrmpy_tune.tune.population.first_population`; later batches are what TVM's evolutionary
    search makes of the best measured candidates and of those that the cost model likes best among
    thousands of draws.

    Parameters
    ----------
    director, task, effort:
        Who decides when it ends, what is searched, and how hard.
    seed:
        Seed of its own random numbers: TVM's state does not reach Python.
    """

    name: ClassVar[str] = "evolutionary"

    def __init__(self, director: Director, task: Task, effort: Effort, seed: int) -> None:
        super().__init__(director, task, effort, seed)
        self.spare: dict[Key, Any] = {}
        self.search = ms.search_strategy.EvolutionarySearch(
            population_size=effort.population,
            init_measured_ratio=0.75,
            init_min_unmeasured=1,
            max_fail_count=5,
            genetic_num_iters=effort.generations,
            genetic_mutate_prob=0.85,
            genetic_max_fail_count=10,
            eps_greedy=0.0,
        )

    def _initialize_with_tune_context(self, context: Any) -> None:
        self.search._initialize_with_tune_context(context)

    def pre_tuning(  # noqa: D102
        self,
        max_trials: int,
        num_trials_per_iter: int,
        design_spaces: list[Any],
        database: Any = None,
        cost_model: Any = None,
    ) -> None:
        super().pre_tuning(max_trials, num_trials_per_iter, design_spaces)
        asked = round(SURPLUS * num_trials_per_iter)
        parents = _Parents(database, self, self.director)
        # No limit: the budget is the director's.
        self.search.pre_tuning(1 << 30, asked, design_spaces, parents, cost_model)

    def post_tuning(self) -> None:  # noqa: D102
        self.search.post_tuning()

    def notify_runner_results(self, measure_candidates: list[Any], results: list[Any]) -> None:  # noqa: D102
        super().notify_runner_results(measure_candidates, results)
        self.search.notify_runner_results(measure_candidates, results)

    def propose(self, count: int) -> dict[Key, Any]:  # noqa: D102
        if not self.sent:
            return self._first(count)
        for _ in range(MAX_EMPTY):
            evolved = self.search.generate_measure_candidates()
            for one in evolved or ():
                key = key_of(one.sch.trace)
                if key not in self.sent:
                    self.spare.setdefault(key, one)
            if self.spare or evolved is None:
                break
        return self._take(count)

    def _first(self, count: int) -> dict[Key, Any]:
        task, draws = self.task, self.fresh_draws()
        seeds = seeds_for(task.workload, task.space, task.similar, draws, count // 2)
        self.director.seeded(task, seeds)
        scores = self.director.scores(task, [draw.plain for draw in draws])
        costs = {draw.key: cost_of(score) for draw, score in zip(draws, scores, strict=True)}
        picked = first_population(
            draws,
            lambda draw: costs[draw.key],
            count,
            [*self._fixed(), *(one.draw for one in seeds)],
            self.random,
            explored=round(self.effort.explored * count),
        )
        return self.candidates_of(picked)

    def _fixed(self) -> list[Draw]:
        """Return the fixed rule's choice, as one of the design spaces at hand."""
        fixed = self.task.fixed
        if fixed is None:
            return []
        return [Draw(one, fixed.chosen) for one in self.designs if one.name == fixed.design.name]

    def _take(self, count: int) -> dict[Key, Any]:
        """Take the best of what was proposed so far, and what explores."""
        explored = self.candidates_of(self._explore(round(self.effort.explored * count)))
        keys = [key for key in self.spare if key not in explored]
        scores = self.director.scores(self.task, [self.spare[key].sch.trace for key in keys])
        ranked = [keys[int(index)] for index in np.argsort(-scores, kind="stable")]
        best = ranked[: count - len(explored)]
        taken = {key: self.spare[key] for key in best}
        self.spare = {key: self.spare[key] for key in ranked[len(best) :][:MAX_SPARE]}
        return {**taken, **explored}

    def _explore(self, count: int) -> list[Draw]:
        """Choose the likeliest draws with an option that was never tried, then some by chance."""
        draws = self.fresh_draws()
        scores = self.director.scores(self.task, [draw.plain for draw in draws])
        order = [int(index) for index in np.argsort(-scores, kind="stable")]
        ranked = [draws[index] for index in order]
        costs = [cost_of(float(scores[index])) for index in order]
        found = unexplored(ranked, costs, self.sent, count)
        known = {draw.key for draw in found}
        good = [
            draw
            for draw, cost in zip(ranked, costs, strict=True)
            if cost <= TOLERANCE * costs[0] and draw.key not in known
        ]
        lucky = self.random.permutation(len(good))[: count - len(found)]
        return [*found, *(good[int(index)] for index in lucky)]


@derived_object
class _Parents(ms.database.PyDatabase):  # type: ignore[misc]
    """The database as the evolutionary search sees it: with parents that were never measured."""

    def __init__(self, measured: Any, strategy: Evolution, director: Director) -> None:
        super().__init__()
        self.measured, self.strategy, self.director = measured, strategy, director

    def has_workload(self, mod: Any) -> bool:
        return bool(self.measured.has_workload(mod))

    def commit_workload(self, mod: Any) -> Any:
        return self.measured.commit_workload(mod)

    def get_top_k(self, workload: Any, top_k: int) -> list[Any]:
        best = list(self.measured.get_top_k(workload, round(MEASURED_SHARE * top_k)))
        draws = self.strategy.fresh_draws()
        scores = self.director.scores(self.strategy.task, [draw.plain for draw in draws])
        liked = np.argsort(-scores, kind="stable")[: top_k - len(best)]
        drawn = [ms.database.TuningRecord(draws[int(one)].trace, workload) for one in liked]
        return [*best, *drawn]

    def __len__(self) -> int:
        return len(self.measured)


STRATEGIES: Final = {"evolutionary": Evolution, "random": RandomSearch}


def _candidate(schedule: Schedule) -> Any:
    arguments = ms.arg_info.ArgInfo.from_entry_func(schedule.mod, remove_preproc=True)
    return ms.MeasureCandidate(schedule, arguments)
