"""MetaSchedule's search, driven by our builder, runner and verification.

The task scheduler, the evolutionary search and the database are TVM's.  Evaluation is
asynchronous: the builder hands a batch to threads and returns at once, the runner's futures
wait, so that with several tasks one is searched while another is measured.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from search_spaces.aim import Aim
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.tune.budget import Budget
from vrmpy_tune.tune.candidate import Candidate
from vrmpy_tune.tune.cost_model import GuardedModel, TaskTable
from vrmpy_tune.tune.evaluator import Evaluation
from vrmpy_tune.tune.events import (
    BatchSearched,
    CandidateMeasured,
    RecordsTransferred,
    SearchEnded,
    Warned,
)
from vrmpy_tune.tune.mutator import MutateGenerator
from vrmpy_tune.tune.strategy import SECONDS_PER_PACKET, STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.tune.effort import Effort
    from vrmpy_tune.tune.evaluator import Evaluator
    from vrmpy_tune.tune.events import Event
    from vrmpy_tune.tune.task import Task
    from vrmpy_tune.tune.transfer import Seed

MUTATE_TILES: Final = 0.85
MUTATE_GENERATOR: Final = 0.15
"""Shares of mutations that change a tile, or the code generator."""


class Engine:
    """One run of the search over several tasks.

    Parameters
    ----------
    tasks, target, effort, seed:
        What to tune and how hard.
    evaluator:
        Evaluates candidates.
    workers:
        Candidates evaluated at once.
    events:
        Told what happens; called from several threads, one at a time.
    search:
        One of :data:`~vrmpy_tune.tune.strategy.STRATEGIES`.
    early_stop:
        Whether a search may end before its trials are spent, when more would be of no use.
    """

    def __init__(
        self,
        tasks: list[Task],
        target: HexagonTarget,
        effort: Effort,
        evaluator: Evaluator,
        *,
        seed: int,
        workers: int,
        events: Callable[[Event], None],
        search: str = "evolutionary",
        early_stop: bool = True,
    ) -> None:
        self.tasks, self.target, self.effort, self.seed = tasks, target, effort, seed
        self._search = search
        self._evaluator, self._workers, self._events = evaluator, workers, events
        self._budgets = {
            str(workload): Budget(
                [task for task in tasks if task.workload == workload],
                effort,
                early_stop=early_stop,
            )
            for workload in {task.workload: None for task in tasks}
        }
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._deadline: float | None = None
        self._batch: tuple[Task, list[Any]] | None = None
        self._proposed: dict[str, int] = {}
        self._tickets: dict[str, Future[Evaluation]] = {}
        self._error: BaseException | None = None

    def stop(self) -> None:
        """Finish what runs, start nothing more."""
        self._stop.set()

    def warn(self, text: str) -> None:
        """Tell that the run goes on with less than it should have; from any thread."""
        self._emit(Warned(text))

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called or an evaluation could not be done at all."""
        return self._stop.is_set()

    def run(self, time_s: float | None = None) -> None:
        """Search until budgets are spent, time is up, or :meth:`stop` is called.

        Raises
        ------
        StoreError, DeviceError, ToolchainError
            What kept a candidate from being evaluated at all.
        """
        logging.getLogger("tvm.s_tir.meta_schedule").setLevel(logging.ERROR)
        if time_s is not None:
            self._deadline = time.monotonic() + time_s
        table = TaskTable(Aim.of(self._evaluator.metric, self.target))
        for task in self.tasks:
            table.add(task.name, task.workload, task.space)
        with without_builtin_intrinsics():
            contexts = [self._context(task) for task in self.tasks]
        model = GuardedModel(table, self.seed, self.warn)
        self._model = model._inst
        for task in self.tasks:
            self._model.learn(task.space, task.similar)
        with ThreadPoolExecutor(self._workers, "evaluate") as self._threads:
            ms.tune.tune_tasks(
                tasks=contexts,
                task_weights=[1.0] * len(contexts),
                work_dir="",
                max_trials_global=sum(task.trials for task in self.tasks),
                max_trials_per_task=max(task.trials for task in self.tasks),
                num_trials_per_iter=self.effort.batch,
                builder=_Builder(self),
                runner=_Runner(self),
                database=ms.database.MemoryDatabase(),
                cost_model=model,
                measure_callbacks=[
                    ms.measure_callback.AddToDatabase(),
                    ms.measure_callback.UpdateCostModel(),
                ],
                task_scheduler=ms.task_scheduler.RoundRobin(),
            )
        if self._error is not None:
            raise self._error

    def _context(self, task: Task) -> Any:
        generator = ms.space_generator.ScheduleFn(
            task.space.generator(task.workload, self.target),
            sch_rules=[],
            postprocs=[],
            mutator_probs={
                ms.mutator.MutateTileSize(): MUTATE_TILES,
                MutateGenerator(task.random_state(self.seed)): MUTATE_GENERATOR,
            },
        )
        # One thread: with several, candidates depend on which thread draws first.
        return ms.TuneContext(
            task.module,
            target=self.target.tvm_target(),
            space_generator=generator,
            search_strategy=STRATEGIES[self._search](
                self, task, self.effort, task.random_state(self.seed)
            ),
            task_name=task.name,
            rand_state=task.random_state(self.seed),
            num_threads=1,
        )

    def allowance(self, task: Task, promise: Callable[[], float]) -> int:
        """Return how many candidates ``task`` may propose now; 0 ends its search."""
        late = self._deadline is not None and time.monotonic() > self._deadline
        if late or self.stopped:
            return 0
        allowance = self._budgets[str(task.workload)].allowance(task, promise)
        if allowance.reason:
            text, space = str(task.workload), task.space.name
            self._emit(SearchEnded(text, space, task.sent, task.trials, allowance.reason))
        return allowance.count

    def seeded(self, task: Task, seeds: list[Seed]) -> None:
        """Tell what the first batch owes to records of similar workloads."""
        if not task.similar:
            return
        records: dict[str, list[str]] = {}
        for seed in seeds:
            records.setdefault(seed.record.workload, []).append(seed.record.short_id)
        samples = sum(len(one.records) for one in task.similar if one.is_instructive)
        owed = tuple((text, tuple(ids)) for text, ids in records.items())
        text, space = str(task.workload), task.space.name
        self._emit(RecordsTransferred(text, space, len(seeds), samples, owed))

    def scores(self, task: Task, traces: list[Any]) -> np.ndarray:
        """Return the cost model's scores of traces, real or plain; higher is better."""
        scores: np.ndarray = self._model.scores(task.name, traces)
        return scores

    def announce(self, task: Task, candidates: list[Any], seconds: float) -> None:
        """Take the batch that the search just generated; the builder is called with it next."""
        task.sent += len(candidates)
        self._batch = (task, candidates)
        self._emit(BatchSearched(str(task.workload), seconds, len(candidates)))

    def submit(self) -> list[str]:
        """Start evaluating the announced batch; return a ticket for each candidate."""
        assert self._batch is not None
        (task, candidates), self._batch = self._batch, None
        limit, text = task.packet_limit(), str(task.workload)
        tickets = []
        for one in candidates:
            self._proposed[text] = number = self._proposed.get(text, 0) + 1
            candidate = Candidate.of(task, one.sch)
            ticket = str(len(self._tickets))
            self._tickets[ticket] = self._threads.submit(
                self._evaluate, task, candidate, number, limit
            )
            tickets.append(ticket)
        return tickets

    def future(self, ticket: str) -> Future[Evaluation]:
        """Return the evaluation behind a ticket."""
        return self._tickets[ticket]

    def _evaluate(
        self, task: Task, candidate: Candidate, number: int, limit: int | None
    ) -> Evaluation:
        if self.stopped:
            return Evaluation(Outcome.DEVICE_LOST, message="The run was interrupted.")
        try:
            evaluation = self._evaluator.evaluate(candidate, task.verifier, limit)
        except Exception as error:
            # No fault of the candidate: nothing more can be measured or stored.
            self._error = self._error or error
            self.stop()
            return Evaluation(Outcome.DEVICE_LOST, message=str(error))
        with self._lock:
            task.note(evaluation.outcome, evaluation.record)
            self._events(self._describe(task, evaluation, number))
        return evaluation

    def _describe(self, task: Task, evaluation: Evaluation, number: int) -> CandidateMeasured:
        best = task.best
        packets = best.counts.packets_total if best else None
        return CandidateMeasured(
            workload=str(task.workload),
            outcome=evaluation.outcome,
            value=evaluation.record.value if evaluation.record else None,
            best=best.value if best else None,
            macs_per_packet=task.workload.macs / packets if packets else None,
            ceiling_fraction=(task.workload.packet_bound / packets if packets else None),
            index=task.measured,
            trials=task.trials,
            cached=evaluation.cached,
            message=evaluation.message,
            record=evaluation.record.id if evaluation.record else None,
            number=number,
            generator=evaluation.generator,
            fallback=evaluation.fallback,
        )

    def _emit(self, event: Event) -> None:
        with self._lock:
            self._events(event)


@contextmanager
def without_builtin_intrinsics() -> Iterator[None]:
    """Keep ``TuneContext`` from importing TVM's rules for every other processor: 30 seconds."""
    name = "tvm.s_tir.tensor_intrin"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = ModuleType(name)
    try:
        yield
    finally:
        del sys.modules[name]


@derived_object
class _Builder(ms.builder.PyBuilder):  # type: ignore[misc]
    """Starts the evaluation of the batch and says so at once."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    def build(self, build_inputs: list[Any]) -> list[Any]:
        tickets = self.engine.submit()
        assert len(tickets) == len(build_inputs)
        return [ms.builder.BuilderResult(ticket, None) for ticket in tickets]


@derived_object
class _Runner(ms.runner.PyRunner):  # type: ignore[misc]
    """Turns tickets into futures."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    def run(self, runner_inputs: list[Any]) -> list[Any]:
        return [_Future(self.engine.future(str(one.artifact_path))) for one in runner_inputs]


@derived_object
class _Future(ms.runner.PyRunnerFuture):  # type: ignore[misc]
    """A running evaluation, as MetaSchedule waits for it."""

    def __init__(self, evaluation: Future[Evaluation]) -> None:
        self.evaluation = evaluation

    def done(self) -> bool:
        # Or the scheduler would take results in as they come, and what one task's search knows of
        # another's measurements would depend on how long they took.
        return False

    def result(self) -> Any:
        evaluation = self.evaluation.result()
        if evaluation.record is None:
            return ms.runner.RunnerResult(None, evaluation.message or str(evaluation.outcome))
        return ms.runner.RunnerResult([evaluation.record.value * SECONDS_PER_PACKET], None)
