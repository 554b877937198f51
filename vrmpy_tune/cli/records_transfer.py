"""``vrmpy-tune records import`` and ``export``: JSON Lines, and directories of TVM's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrmpy_tune.cli.records_common import (
    Json,
    Metric,
    Sources,
    Target,
    Where,
    Workload,
    open_for_reading,
    open_own,
)
from vrmpy_tune.cli.records_output import print_json
from vrmpy_tune.errors import RecordFormatError, StaleRecordError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.records import Record, Store


def import_file(
    path: Annotated[Path, typer.Argument(help="A .jsonl file, or a directory of TVM's.")],
    *,
    strict: Annotated[bool, typer.Option(help="Import nothing if any line is bad.")] = False,
    workload: Annotated[
        list[str] | None, typer.Option(help="For TVM's: workloads to recognize; may be repeated.")
    ] = None,
    space: Annotated[
        list[str] | None, typer.Option(help="For TVM's: spaces to recognize; may be repeated.")
    ] = None,
    target: Annotated[str, typer.Option(help="For TVM's: the traces' target.")] = "hexagon-v68",
    metric: Annotated[
        str | None, typer.Option(help="For TVM's, which does not say: what its figures count.")
    ] = None,
    records: Where = None,
    as_json: Json = False,
) -> None:
    """Import records from JSON Lines, or traces to measure from a directory of TVM's.

    Exits 5 if lines were bad; all others are imported nevertheless, unless --strict.
    """
    with open_own(records) as store:
        if path.is_dir():
            document, problems = _import_tvm(
                store, path, workloads=workload, spaces=space, target=target, metric=metric
            )
        else:
            document, problems = _import_lines(store, path, strict)
    for problem in problems:
        print(problem, file=sys.stderr)
    if as_json:
        print_json(document)
    else:
        print(", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in document.items()))
    if problems:
        raise typer.Exit(RecordFormatError.exit_code)


def export_file(
    path: Annotated[Path, typer.Argument(help="The file; with --tvm, the directory.")],
    *,
    workload: Workload = None,
    target: Target = None,
    metric: Metric = None,
    best: Annotated[bool, typer.Option(help="Only the best of each workload.")] = False,
    failures: Annotated[bool, typer.Option(help="Remembered failures too.")] = False,
    tvm: Annotated[
        bool, typer.Option(help="Write a directory in TVM's JSONDatabase form.")
    ] = False,
    records: Sources = None,
    as_json: Json = False,
) -> None:
    """Write records to JSON Lines, sorted, or to a directory in TVM's form.

    With --tvm, exits 6 if a record was left out because its trace does not replay; all others are
    written nevertheless.
    """
    from vrmpy_tune.records import export_json_lines, export_tvm_json

    with open_for_reading(records) as stores:
        found = (stores.best_of_each if best else stores.query)(workload, target, metric)
        failed = stores.failures(workload) if failures else []
    stale = 0
    if tvm:
        export = export_tvm_json(found, path, _program_of)
        written, stale = export.written, len(export.stale)
        for record, reason in export.stale:
            what = f"{record.short_id} of {record.workload} ({record.space})"
            print(f"Left out: {what}: {reason}", file=sys.stderr)
    else:
        written = export_json_lines(found, path, failed)
    if as_json:
        print_json({"path": str(path), "written": written, "stale": stale})
    else:
        left_out = f", {stale} records left out" if stale else ""
        print(f"Wrote {written} lines to {path}{left_out}.")
    if stale:
        raise typer.Exit(StaleRecordError.exit_code)


def _import_lines(store: Store, path: Path, strict: bool) -> tuple[dict[str, int], list[str]]:
    from vrmpy_tune.records import import_json_lines

    report = import_json_lines(store, path, strict=strict)
    document = {
        "added": report.added,
        "unchanged": report.unchanged,
        "failures": report.failures,
        "bad_lines": report.bad_lines,
    }
    return document, [str(problem) for problem in report.problems]


def _program_of(record: Record) -> Any:
    """Return a record's unscheduled program, after its trace was replayed where that may crash."""
    from search_spaces import base_module
    from vrmpy_tune.replay import replay_identity

    replay_identity(record.identity)
    return base_module(record.workload, record.space)


def _import_tvm(
    store: Store,
    path: Path,
    *,
    workloads: Sequence[str] | None,
    spaces: Sequence[str] | None,
    target: str,
    metric: str | None,
) -> tuple[dict[str, int], list[str]]:
    if not (workloads and spaces and metric):
        raise UsageError(
            f"{path} is a directory of TVM's, which names no workload, space or metric: "
            "give --workload, --space and --metric."
        )
    from search_spaces import base_module
    from vrmpy_tune.records import identify_among, import_tvm_json

    pairs = [(workload, space) for workload in workloads for space in spaces]
    identify = identify_among(pairs, base_module)
    report = import_tvm_json(path, metric=metric, target=target, identify=identify)
    added = store.add_imported(report.traces)
    document = {
        "to_measure": added,
        "unchanged": len(report.traces) - added,
        "unknown": report.unknown,
        "bad_lines": len(report.problems),
    }
    return document, list(report.problems)
