"""The tuning run: from workloads to stored records and a result."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from search_spaces import spaces_for
from search_spaces.memory import Memory
from vrmpy_tune.device.open import open_device
from vrmpy_tune.errors import DeviceError, NoValidCandidateError, UsageError
from vrmpy_tune.measurement import DEFAULT_METRIC, METRICS, QEMU_CRITICAL, Outcome, is_time
from vrmpy_tune.records.location import default_url, open_store, open_stores
from vrmpy_tune.records.patience import waiting_for_server
from vrmpy_tune.records.shipped import shipped_records
from vrmpy_tune.toolchain.codegen import FALLBACK
from vrmpy_tune.toolchain.pool import CodegenPool
from vrmpy_tune.toolchain.versions import require_toolchain
from vrmpy_tune.tune.busy import BusyClock
from vrmpy_tune.tune.effort import effort as effort_named
from vrmpy_tune.tune.events import (
    CandidateMeasured,
    Interrupted,
    RecordsTransferred,
    RunFinished,
    RunStarted,
    SearchEnded,
    TaskStarted,
    Warned,
)
from vrmpy_tune.tune.interrupt import stopping_on_interrupt
from vrmpy_tune.tune.task import Task
from vrmpy_tune.verification import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vrmpy_tune.device.protocol import Device
    from vrmpy_tune.records.record import FixedRule, Record
    from vrmpy_tune.records.store import Store
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.tune.events import Event
    from vrmpy_tune.workload import Workload


@dataclass(frozen=True)
class TuneResult:
    """What tuning one workload came to.

    Attributes
    ----------
    workload, target, metric, seed:
        What was tuned.
    trials, measured:
        Candidates allowed, and evaluated (failures and recalled ones included).
    recalled:
        Candidates whose outcome the store already knew.
    fallbacks:
        Candidates whose code LLVM's packets were used for, since the packet scheduler did not
        understand it.
    failures:
        Number of failures by class.
    best:
        The best record of this run.
    fixed_rule:
        What the workload takes untuned, if that was measured.
    wall_s:
        Seconds the whole run took, all workloads together.
    busy_fraction:
        CPU seconds used by this run, over wall time x cores.
    interrupted:
        Whether the run was stopped before its budget was spent.
    ended:
        Which searches ended before the budget was spent, and why.
    transferred:
        What they started from.
    """

    workload: Workload
    target: str
    metric: str
    seed: int
    trials: int
    measured: int
    recalled: int
    fallbacks: int
    failures: dict[str, int] = field(hash=False)
    best: Record
    wall_s: float
    busy_fraction: float
    interrupted: bool = False
    ended: tuple[SearchEnded, ...] = ()
    transferred: tuple[RecordsTransferred, ...] = ()
    fixed_rule: FixedRule | None = None

    @property
    def stopped_early(self) -> str | None:
        """Why candidates were left over, or ``None``."""
        if not self.ended or self.interrupted or self.measured >= self.trials:
            return None
        return f"after {self.measured} of {self.trials}: {self.ended[-1].reason}"

    def as_json(self) -> dict[str, Any]:
        """Return the entry of ``tune --json``."""
        counts = self.best.counts
        return {
            "workload": str(self.workload),
            "target": self.target,
            "metric": self.metric,
            "seed": self.seed,
            "trials": self.trials,
            "measured": self.measured,
            "recalled": self.recalled,
            "fallbacks": self.fallbacks,
            "failures": dict(sorted(self.failures.items())),
            "wall_s": round(self.wall_s, 3),
            "busy_fraction": round(self.busy_fraction, 4),
            "candidates_per_minute": round(60 * self.measured / max(self.wall_s, 1e-9), 1),
            "interrupted": self.interrupted,
            "stopped_early": self.stopped_early,
            "ended": [
                {"space": one.space, "sent": one.sent, "reason": one.reason} for one in self.ended
            ],
            "transfer": {
                "seeds": sum(one.seeds for one in self.transferred),
                "samples": sum(one.samples for one in self.transferred),
                "records": [
                    {"space": one.space, "workload": text, "ids": list(ids)}
                    for one in self.transferred
                    for text, ids in one.records
                ],
            },
            "fixed_rule": self.fixed_rule.to_json() if self.fixed_rule else None,
            "best": {
                "record": self.best.id,
                "space": self.best.space,
                "generator": self.best.generator,
                "trace": self.best.trace,
                "packets_total": counts.packets_total,
                "packets_critical": counts.packets_critical,
                "macs": self.workload.macs,
                "macs_per_packet": self.workload.macs / counts.packets_total,
                "ceiling_fraction": self.workload.packet_bound / counts.packets_total,
                "estimated_us": counts.time.nanoseconds / 1e3 if counts.time else None,
                "time_us": counts.time.as_json() if counts.time else None,
                "verified": True,
            },
        }


def tune(
    workloads: Sequence[Workload],
    *,
    target: HexagonTarget,
    device: str = "qemu",
    metric: str = DEFAULT_METRIC,
    trials: int | None = None,
    time_s: float | None = None,
    effort: str = "normal",
    seed: int = 0,
    records: str | None = None,
    transfer: bool = True,
    shipped: bool = True,
    early_stop: bool = True,
    search: str = "evolutionary",
    shares: Mapping[Workload, int] | None = None,
    memories: Sequence[Memory] = (Memory.CACHED,),
    wait_s: float | None = None,
    command: str | None = None,
    events: Callable[[Event], None] = lambda _: None,
) -> list[TuneResult]:
    """Search, measure and store; the same call again resumes and measures nothing twice.

    Parameters
    ----------
    workloads:
        What to tune; one run interleaves them.
    target, device, metric:
        What to tune for, where to measure, and what to rank by.
    trials:
        Candidates a workload; the effort's by default.
    time_s:
        Wall-clock seconds after which no further batch is generated.
    effort:
        ``quick``, ``normal`` or ``max``.
    seed:
        Same seed, same device, same result.
    records:
        Store that gets every record; the user's own by default.
    transfer:
        Whether to start from what records of similar workloads say.
    shipped:
        Whether these may be records that ship, besides those of this store.
    early_stop:
        Whether a search may end before its trials are spent, when more would be of no use.
    search:
        ``evolutionary``, or ``random`` to compare it with.
    shares:
        Candidates of each workload, where they are not the same for all.
    memories:
        Where weights may be while they are multiplied.
    wait_s:
        Seconds after which a store's server that went away is given up;
        :data:`~vrmpy_tune.records.patience.DEFAULT_WAIT_S` by default.
    command:
        The command that resumes this run; by default that which names every workload.
    events:
        Told what happens, one event at a time.

    Raises
    ------
    UsageError
        If an argument makes no sense.
    NoValidCandidateError
        If not one candidate of a workload was verified.
    DeviceError, StoreError, ToolchainError
        If the device, the store or the toolchain cannot be used.
    """
    chosen = effort_named(effort)
    budget = chosen.trials if trials is None else trials
    _check(workloads, metric, budget, time_s)
    require_toolchain()
    from vrmpy_tune.tune.engine import Engine
    from vrmpy_tune.tune.evaluator import Evaluator

    def warn(text: str) -> None:
        events(Warned(text))

    url = records or default_url()
    command = command or resume_command(
        [str(workload) for workload in workloads], target=target, device=device, metric=metric,
        trials=trials, time_s=time_s, effort=effort, seed=seed, records=records,
        transfer=transfer, shipped=shipped, early_stop=early_stop, memory=tuple(memories),
        wait_s=wait_s,
    )  # fmt: skip
    with (
        open_store(url) as store,
        open_device(device) as opened,
        waiting_for_server(store, warn, wait_s) as patience,
    ):
        _check_device(opened, target, metric)
        slots = opened.info().slots
        # Kernels run wherever the device is, but code is generated here.
        cores = len(os.sched_getaffinity(0))
        tasks = _tasks(workloads, target, shares or dict.fromkeys(workloads, budget), memories)
        texts = tuple(str(workload) for workload in workloads)
        if transfer and search != "random":
            _transfer(store, tasks, target, metric, texts, shipped=shipped)
        each = tuple(shares[workload] for workload in workloads) if shares else ()
        events(RunStarted(texts, target.name, metric, seed, budget, command, time_s, each))
        for workload in workloads:
            own = tuple(task.space.name for task in tasks if task.workload is workload)
            events(TaskStarted(str(workload), own))
        notes = {text: _Notes() for text in texts}

        def listen(event: Event) -> None:
            if note := notes.get(getattr(event, "workload", "")):
                note.take(event)
            events(event)

        with CodegenPool(min(slots, cores)) as pool, BusyClock() as clock:

            def correct(record: Record) -> None:
                for task in tasks:
                    task.correct(record)

            evaluator = Evaluator(opened, pool, store, target, metric, seed=seed, corrected=correct)
            engine = Engine(
                tasks, target, chosen, evaluator,
                seed=seed, workers=slots, events=listen, search=search, early_stop=early_stop,
            )  # fmt: skip
            # From now on other threads have events to tell, too.
            patience.say = engine.warn

            def stop() -> None:
                patience.stop()
                engine.stop()

            with stopping_on_interrupt(stop) as interrupted:
                engine.run(time_s)
            patience.say = warn
        results = [
            _result(
                workload,
                tasks,
                target=target,
                metric=metric,
                seed=seed,
                notes=notes[str(workload)],
                clock=clock,
                interrupted=interrupted(),
                fixed_rule=evaluator.fixed_rule(workload),
            )
            for workload in workloads
            if any(task.best for task in tasks if task.workload is workload)
        ]
        for result in results:
            events(RunFinished(str(result.workload), result.as_json()))
        if interrupted():
            events(Interrupted(command, _stored(store, tasks)))
        elif len(results) < len(workloads):
            raise NoValidCandidateError(_no_candidate(workloads, tasks))
        return results


def _check(workloads: Sequence[Workload], metric: str, trials: int, time_s: float | None) -> None:
    if not workloads:
        raise UsageError("Name at least one workload to tune.")
    if metric not in METRICS:
        raise UsageError(f"There is no metric '{metric}'; use one of {', '.join(METRICS)}.")
    if not 1 <= trials <= 1_000_000:
        raise UsageError(f"--trials must lie between 1 and 1000000, not {trials}.")
    if time_s is not None and time_s <= 0:
        raise UsageError("--time must be a positive number of seconds.")


def _check_device(device: Device, target: HexagonTarget, metric: str) -> None:
    info = device.info()
    if target.name not in info.targets:
        raise DeviceError(
            f"The device ({info.description}) cannot run {target.name}; it runs "
            f"{', '.join(info.targets)}. {target.name} can be compiled for, but not tuned here."
        )
    if metric not in info.metrics:
        raise DeviceError(
            f"The device ({info.description}) does not measure {metric}; it measures "
            f"{', '.join(info.metrics)}."
        )


def _tasks(
    workloads: Sequence[Workload],
    target: HexagonTarget,
    shares: Mapping[Workload, int],
    memories: Sequence[Memory],
) -> list[Task]:
    """Return each workload in each of its spaces, if there is a candidate for each.

    The space of the fixed rule comes first: its choice is the first candidate.
    """
    from vrmpy_tune.compiler.choice import fixed_draw

    tasks = []
    for workload in workloads:
        verifier, trials = Verifier(workload), shares[workload]
        spaces = spaces_for(workload, target, tuple(memories))
        if not spaces:
            raise UsageError(
                f"No search space of this version covers {workload} on {target.name} with weights "
                f"{' or '.join(memories)}."
            )
        fixed = fixed_draw(workload, target)
        own = sorted(spaces, key=lambda space: fixed is None or space != fixed[0])[:trials]
        tasks += [
            Task(
                workload, space, trials, verifier,
                fixed=fixed[1] if fixed is not None and space == fixed[0] else None,
            )
            for space in own
        ]  # fmt: skip
    return tasks


def _transfer(
    store: Store,
    tasks: list[Task],
    target: HexagonTarget,
    metric: str,
    texts: tuple[str, ...],
    *,
    shipped: bool,
) -> None:
    """Tell each task what this store, and perhaps the shipped one, know of similar workloads.

    Only choices are taken from them, never figures, so that a search for time starts from what took
    few packets on all contexts.
    """
    from vrmpy_tune.tune.transfer import similar_workloads

    metric = QEMU_CRITICAL if is_time(metric) else metric

    directory = shipped_records() if shipped else None
    with open_stores([directory] if directory else []) as others:
        for task in tasks:
            task.similar = similar_workloads(
                (store, others), task.workload, task.space,
                target=target.name, metric=metric, exclude=texts,
            )  # fmt: skip


@dataclass
class _Notes:
    """What the events of one workload add up to."""

    recalled: int = 0
    fallbacks: int = 0
    ended: tuple[SearchEnded, ...] = ()
    transferred: tuple[RecordsTransferred, ...] = ()

    def take(self, event: Event) -> None:
        """Take an event of the workload in."""
        match event:
            case CandidateMeasured():
                self.recalled += event.cached
                self.fallbacks += event.generator == FALLBACK.name
            case SearchEnded():
                self.ended += (event,)
            case RecordsTransferred():
                self.transferred += (event,)


def _result(
    workload: Workload,
    tasks: list[Task],
    *,
    target: HexagonTarget,
    metric: str,
    seed: int,
    notes: _Notes,
    clock: BusyClock,
    interrupted: bool,
    fixed_rule: FixedRule | None,
) -> TuneResult:
    own = [task for task in tasks if task.workload is workload]
    failures: dict[Outcome, int] = {}
    for task in own:
        for outcome, number in task.failures.items():
            failures[outcome] = failures.get(outcome, 0) + number
    best = min((task.best for task in own if task.best), key=lambda record: record.sort_key)
    return TuneResult(
        workload=workload,
        target=target.name,
        metric=metric,
        seed=seed,
        trials=own[0].trials,
        measured=sum(task.measured for task in own),
        recalled=notes.recalled,
        fallbacks=notes.fallbacks,
        failures={str(outcome): number for outcome, number in failures.items()},
        best=best,
        wall_s=clock.wall_s,
        busy_fraction=clock.busy_fraction,
        interrupted=interrupted,
        ended=notes.ended,
        transferred=notes.transferred,
        fixed_rule=fixed_rule,
    )


def _stored(store: Store, tasks: list[Task]) -> int:
    return sum(store.count(text) for text in {str(task.workload) for task in tasks})


def _no_candidate(workloads: Sequence[Workload], tasks: list[Task]) -> str:
    sentences = []
    for workload in workloads:
        own = [task for task in tasks if task.workload is workload]
        if any(task.best for task in own):
            continue
        classes: dict[str, int] = {}
        for task in own:
            for outcome, number in task.failures.items():
                classes[str(outcome)] = classes.get(str(outcome), 0) + number
        seen = ", ".join(f"{number} {name}" for name, number in sorted(classes.items())) or "none"
        sentences.append(f"No candidate of {workload} was verified (failures: {seen}).")
    return " ".join([*sentences, "Run with --events - to see each one, or vrmpy-tune doctor."])


def resume_command(names: Sequence[str], *, target: HexagonTarget, **options: Any) -> str:
    """Return the command that resumes a run: the same command.

    Parameters
    ----------
    names:
        The workloads, or the model, that it names.
    options:
        Arguments of :func:`tune`, and other options of the command.
    """
    others = {"time_s": "--time", "wait_s": "--wait"}
    if str(options.get("device")).startswith("rpc://"):
        options.pop("wait_s", None)  # a farm's URL says it already
    defaults = {
        "device": "qemu", "metric": DEFAULT_METRIC, "effort": "normal", "seed": 0,
        "memory": (Memory.CACHED,),
    }  # fmt: skip
    parts = ["vrmpy-tune", "tune", *names, "--target", target.name]
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            parts += [] if value else [f"--no-{option}"]
        elif value is not None and value != defaults.get(name):
            for one in value if isinstance(value, tuple) else (value,):
                parts += [others.get(name, f"--{option}"), str(one)]
    return shlex.join(parts)
