"""Tuning a model: its tasks in one run, the trials spread by what each weighs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from search_spaces import spaces_for
from vrmpy_tune.model.opening import open_model
from vrmpy_tune.model.tasks import spread, tasks_of, weights
from vrmpy_tune.records.location import default_url, open_store
from vrmpy_tune.records.shipped import shipped_records
from vrmpy_tune.records.view import StoreView
from vrmpy_tune.tune.effort import effort as effort_named
from vrmpy_tune.tune.run import resume_command, tune

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.tune.events import Event
    from vrmpy_tune.tune.run import TuneResult


def tune_model(
    path: Path,
    *,
    target: HexagonTarget,
    events: Callable[[Event], None] = lambda _: None,
    trials: int | None = None,
    effort: str = "normal",
    records: str | None = None,
    shipped: bool = True,
    top_tasks: int | None = None,
    leave_out: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> list[TuneResult]:
    """Tune the tasks of a model.

    Parameters
    ----------
    path:
        The ONNX file.
    trials:
        Candidates a task on average; the effort's by default.  Heavier tasks get more.
    top_tasks:
        Tune only so many tasks, the heaviest.
    leave_out:
        Told of each task that no search space covers.
    target, events, effort, records, shipped, options:
        As for :func:`vrmpy_tune.tune.run.tune`, which also lists the errors.

    Raises
    ------
    ModelError
        If the model cannot be read.
    """
    network, _ = open_model(path)
    tasks = []
    for task in tasks_of(network):
        if spaces_for(task.workload, target):
            tasks.append(task)
        else:
            leave_out(f"Left out: no search space of this version covers {task.workload}.")
    directory = shipped_records() if shipped else None
    others = [open_store(directory, readonly=True)] if directory else []
    with StoreView([open_store(records or default_url()), *others]) as reader:
        weighed = weights(tasks, target.name, reader)
    shares = spread(weighed, trials or effort_named(effort).trials, top_tasks)
    given = {
        **options, "trials": trials, "effort": effort, "records": records, "shipped": shipped,
    }  # fmt: skip
    command = resume_command([str(path)], target=target, **given, top_tasks=top_tasks)
    return tune(list(shares), target=target, events=events, shares=shares, command=command, **given)
