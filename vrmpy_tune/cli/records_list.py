"""``vrmpy-tune records``: what lists, shows and compares records."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from vrmpy_tune.cli.limits import LARGEST
from vrmpy_tune.cli.records_common import (
    Json,
    Metric,
    Sources,
    Target,
    Workload,
    get_record,
    open_for_reading,
)
from vrmpy_tune.cli.records_output import disagreement_text, print_json, print_table, summary


def list_records(
    *,
    workload: Workload = None,
    target: Target = None,
    metric: Metric = None,
    space: Annotated[str | None, typer.Option(help="Only of this search space.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LARGEST, help="At most so many.")] = 50,
    records: Sources = None,
    as_json: Json = False,
) -> None:
    """List records: by workload, target and metric, best first."""
    with open_for_reading(records) as stores:
        found = stores.query(workload, target, metric, space, limit)
        total = stores.count()
    if as_json:
        print_json({"records": [summary(record) for record in found], "total": total})
    else:
        print_table(found, f"{len(found)} of {total} records")


def best_records(
    *,
    workload: Workload = None,
    target: Target = None,
    metric: Metric = None,
    records: Sources = None,
    as_json: Json = False,
) -> None:
    """Show the best record of each workload, target and metric."""
    with open_for_reading(records) as stores:
        found = stores.best_of_each(workload, target, metric)
    if as_json:
        print_json({"records": [summary(record) for record in found]})
    else:
        print_table(found, f"the best of {len(found)} workloads, targets and metrics")


def show_record(
    record_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the start of it.")],
    records: Sources = None,
    as_json: Json = False,
) -> None:
    """Show all of one record, its trace included."""
    with open_for_reading(records) as stores:
        record = get_record(stores, record_id)
    if as_json:
        print_json(record.to_json())
        return
    for name, value in (record.to_json() | {"value": record.value}).items():
        print(f"{name:18} {value if isinstance(value, str) else json.dumps(value)}")


def show_disagreements(
    *,
    workload: Workload = None,
    target: Target = None,
    metric: Metric = None,
    records: Sources = None,
    as_json: Json = False,
) -> None:
    """Show where time and packets choose different schedules.

    Takes the candidates of searches for an estimated time (`tune --metric hvx-time/...`), which
    carry their packets too.
    """
    from vrmpy_tune.records.disagreement import disagreements

    with open_for_reading(records) as stores:
        found = disagreements(stores.query(workload, target, metric))
    if as_json:
        print_json({"disagreements": [one.as_json() for one in found]})
        return
    for one in found:
        print(disagreement_text(one.as_json()))
    print(f"{len(found)} workloads whose best schedule by time is another one than by packets")
