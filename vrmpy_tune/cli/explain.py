"""``vrmpy-tune explain``: which record a compilation would use, or why none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrmpy_tune.cli.options import (
    DEFAULT_TARGET,
    Exact,
    Json,
    Shipped,
    Sources,
    SuiteName,
    Target,
    Variants,
    Workloads,
    check_metric,
    read_model,
    read_selection,
    stores,
)
from vrmpy_tune.cli.streams import one_document, say
from vrmpy_tune.measurement import METRICS
from vrmpy_tune.target import parse_target

if TYPE_CHECKING:
    from pathlib import Path

    from vrmpy_tune.records import Resolver
    from vrmpy_tune.workload import Workload


def explain_workloads(
    workloads: Workloads = None,
    *,
    suite: SuiteName = None,
    variant: Variants = None,
    target: Target = DEFAULT_TARGET,
    records: Sources = None,
    shipped: Shipped = True,
    metric: Annotated[
        str | None, typer.Option(help="Only records of this metric; else in order.")
    ] = None,
    exact: Exact = False,
    as_json: Json = False,
) -> None:
    """Say which record would be used, or why none.

    What was looked at is listed, in order.  Where there is none, the nearest records and
    the fields that differ are listed.
    """
    from vrmpy_tune.model.softmax import lines_after
    from vrmpy_tune.records import Resolver, open_stores

    hexagon = parse_target(target)
    metrics = METRICS if check_metric(metric) is None else (str(metric),)
    model = read_model(workloads, suite, variant)
    chosen = [] if model else list(read_selection(workloads, suite, variant, say))
    where = stores(records, shipped=shipped)
    with one_document(as_json) as emit, open_stores(where) as reader:
        resolver = Resolver(reader, hexagon, metrics, exact=exact)
        document: dict[str, Any] = (
            _explain_model(resolver, model)
            if model
            else {"workloads": [_explain_one(resolver, one) for one in chosen]}
        )
        if as_json:
            emit(document)
    if not as_json:
        for row in document["workloads"]:
            print(explanation_text(row))
        for line in lines_after(document.get("outputs", {})):
            print(line)


def explanation_text(row: dict[str, Any]) -> str:
    """Return an entry of ``explain --json`` in words."""
    lines = [row["workload"], f"  {row['status']}: {row['reason']}"]
    if layers := row.get("layers"):
        lines.insert(1, f"  {len(layers)} x: {', '.join(layers)}")
    for number, step in enumerate(row["trail"], start=1):
        lines.append(f"  {number}. {step['text']}")
    for near in row["nearest"]:
        differing = "; ".join(
            f"{name} {difference['found']} instead of {difference['wanted']}"
            for name, difference in near["differences"].items()
        )
        lines.append(f"  near: {near['record'][:16]} {near['workload']}: {differing or 'the same'}")
    return "\n".join(lines)


def _explain_model(resolver: Resolver, model: Path) -> dict[str, Any]:
    """Return an entry for each task of a model, with its layers, and what its outputs are."""
    from vrmpy_tune.model.opening import open_model
    from vrmpy_tune.model.tasks import tasks_of

    network, _ = open_model(model)
    rows = [
        {**_explain_one(resolver, task.workload), "count": task.count, "layers": list(task.layers)}
        for task in tasks_of(network)
    ]
    return {"workloads": rows, "outputs": network.outputs_as_json()}


def _explain_one(resolver: Resolver, workload: Workload) -> dict[str, Any]:
    from vrmpy_tune.records.explain import explain

    found = resolver.resolve(workload)
    record, text, target = found.record, str(workload), resolver.target.name
    # What is near matters only where nothing fits.
    nearest = (
        []
        if record
        else explain(resolver.records, text, target, resolver.metrics).to_json()["nearest"]
    )
    return {
        "workload": text,
        "target": target,
        "status": str(found.status),
        "reason": found.reason,
        "record": record.id if record else None,
        "metric": record.metric if record else None,
        "value": record.value if record else None,
        "stale": [one.id for one in found.stale],
        "trail": [{**step.to_json(), "text": str(step)} for step in found.trail],
        "nearest": nearest,
    }
