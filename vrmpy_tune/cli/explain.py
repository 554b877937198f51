"""``vrmpy-tune explain``: which record a compilation would use, or why none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrmpy_tune.cli.options import (
    DEFAULT_TARGET,
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
    from collections.abc import Sequence
    from pathlib import Path

    from vrmpy_tune.records import Record, RecordReader
    from vrmpy_tune.target import HexagonTarget


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
    exact: Annotated[
        bool, typer.Option("--exact", help="Only records of this very toolchain.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say which record would be used, or why none.

    Where there is none, the nearest records and the fields that differ are listed.
    """
    from vrmpy_tune.model.softmax import lines_after
    from vrmpy_tune.records import open_stores

    hexagon = parse_target(target)
    name = hexagon.name
    metrics = METRICS if check_metric(metric) is None else (str(metric),)
    model = read_model(workloads, suite, variant)
    chosen = [] if model else [str(one) for one in read_selection(workloads, suite, variant, say)]
    where = stores(records, shipped=shipped)
    with one_document(as_json) as emit, open_stores(where) as reader:
        rows = [_explain_one(reader, text, name, metrics, exact=exact) for text in chosen]
        document: dict[str, Any] = {"workloads": rows}
        if model:
            document = _explain_model(reader, model, hexagon, metrics, exact=exact)
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
    for near in row["nearest"]:
        differing = "; ".join(
            f"{name} {difference['found']} instead of {difference['wanted']}"
            for name, difference in near["differences"].items()
        )
        lines.append(f"  near: {near['record'][:16]} {near['workload']}: {differing or 'the same'}")
    return "\n".join(lines)


def _explain_model(
    reader: RecordReader,
    model: Path,
    target: HexagonTarget,
    metrics: Sequence[str],
    *,
    exact: bool,
) -> dict[str, Any]:
    """Return an entry for each task of a model, with its layers, and what its outputs are."""
    from vrmpy_tune.compiler.anchor import from_variant
    from vrmpy_tune.model.opening import open_model
    from vrmpy_tune.model.tasks import tasks_of
    from vrmpy_tune.records.lookup import Status

    network, _ = open_model(model)
    rows = []
    for task in tasks_of(network):
        row = _explain_one(reader, str(task.workload), target.name, metrics, exact=exact)
        taken = None
        if row["record"] is None and not exact:
            taken = from_variant(task.workload, target, reader, metrics)
        if taken is not None:
            record = taken.record
            row |= {"status": str(Status.BY_ANCHOR), "reason": taken.reason, "nearest": []}
            row |= {"record": record.id, "metric": record.metric, "value": record.value}
        rows.append({**row, "count": task.count, "layers": list(task.layers)})
    return {"workloads": rows, "outputs": network.outputs_as_json()}


def _explain_one(
    reader: RecordReader, workload: str, target: str, metrics: Sequence[str], *, exact: bool
) -> dict[str, Any]:
    from vrmpy_tune.records.explain import explain
    from vrmpy_tune.records.lookup import lookup
    from vrmpy_tune.toolchain.codegen import provenance

    found = lookup(
        reader,
        workload,
        target,
        metrics,
        toolchain=provenance(),
        exact=exact,
        replays=_replays,
    )
    record = found.record
    # What is near matters only where nothing fits.
    nearest = explain(reader, workload, target, metrics).to_json()["nearest"] if not record else []
    return {
        "workload": workload,
        "target": target,
        "status": str(found.status),
        "reason": found.reason,
        "record": record.id if record else None,
        "metric": record.metric if record else None,
        "value": record.value if record else None,
        "stale": [one.id for one in found.stale],
        "nearest": nearest,
    }


def _replays(record: Record) -> bool:
    """Whether a record's trace still fits its program; starts TVM."""
    from search_spaces import base_module
    from vrmpy_tune.errors import StaleRecordError
    from vrmpy_tune.replay import replay
    from vrmpy_tune.toolchain.versions import require_toolchain

    require_toolchain()
    try:
        replay(base_module(record.workload, record.space), record.trace)
    except StaleRecordError:
        return False
    return True
