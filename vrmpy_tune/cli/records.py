"""``vrmpy-tune records``: list, check, merge, prune and move tuned records."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrmpy_tune.cli.options import LARGEST
from vrmpy_tune.cli.records_output import (
    disagreement_text,
    note,
    print_json,
    print_table,
    summary,
)
from vrmpy_tune.errors import (
    MissingRecordError,
    RecordFormatError,
    UsageError,
    VerificationError,
    VrmpyTuneError,
)
from vrmpy_tune.measurement import figure_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.records import ImportedTrace, Record, RecordReader, Store, StoreView

app = typer.Typer(
    help="List, check, merge, prune and move tuned records.",
    no_args_is_help=True,
    add_completion=False,
)

DEFAULT_TOP = 3
"""Bars of the worst, and of the best, of each suite."""

_STORE_HELP = "Record store: sqlite:///path, a .db file, or postgresql+psycopg://user@host/db."
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Where = Annotated[str | None, typer.Option("--records", metavar="URL", help=_STORE_HELP)]
Sources = Annotated[
    list[str] | None,
    typer.Option("--records", metavar="URL", help=f"{_STORE_HELP} Also .jsonl; may be repeated."),
]
Workload = Annotated[str | None, typer.Option(help="Only of this workload (canonical text).")]
Target = Annotated[str | None, typer.Option(help="Only of this target.")]
Metric = Annotated[str | None, typer.Option(help="Only of this metric.")]
Device = Annotated[str, typer.Option(help="Device to measure on.")]


@app.command("ls")
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
    with _read(records) as stores:
        found = stores.query(workload, target, metric, space, limit)
        total = stores.count()
    if as_json:
        print_json({"records": [summary(record) for record in found], "total": total})
    else:
        print_table(found, f"{len(found)} of {total} records")


@app.command("best")
def best_records(
    *,
    workload: Workload = None,
    target: Target = None,
    metric: Metric = None,
    records: Sources = None,
    as_json: Json = False,
) -> None:
    """Show the best record of each workload, target and metric."""
    with _read(records) as stores:
        found = stores.best_of_each(workload, target, metric)
    if as_json:
        print_json({"records": [summary(record) for record in found]})
    else:
        print_table(found, f"the best of {len(found)} workloads, targets and metrics")


@app.command("show")
def show_record(
    record_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the start of it.")],
    records: Sources = None,
    as_json: Json = False,
) -> None:
    """Show all of one record, its trace included."""
    with _read(records) as stores:
        record = _get(stores, record_id)
    if as_json:
        print_json(record.to_json())
        return
    for name, value in (record.to_json() | {"value": record.value}).items():
        print(f"{name:18} {value if isinstance(value, str) else json.dumps(value)}")


@app.command("disagree")
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

    with _read(records) as stores:
        found = disagreements(stores.query(workload, target, metric))
    if as_json:
        print_json({"disagreements": [one.as_json() for one in found]})
        return
    for one in found:
        print(disagreement_text(one.as_json()))
    print(f"{len(found)} workloads whose best schedule by time is another one than by packets")


@app.command("verify")
def verify_records(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...")] = None,
    *,
    workload: Workload = None,
    target: Target = None,
    device: Device = "qemu",
    records: Where = None,
    as_json: Json = False,
) -> None:
    """Rebuild, run and check records; measure imported traces, which makes records of them.

    Without ids, all records and imported traces that match.  Exits 10 if one does not hold.
    """
    from vrmpy_tune.reverify import reverify

    rows: list[dict[str, Any]] = []
    with _read([records] if records else None) as reader:
        chosen = [_get(reader, i) for i in ids] if ids else reader.query(workload, target)
        traces = [] if ids else reader.imported(workload)
    with ExitStack() as stack:
        # Only measured traces are written, and JSON Lines hold none.
        store = stack.enter_context(_open(records)) if traces else None
        for record in chosen:
            holds, message = reverify(record, device)
            rows.append({"record": record.id, "verified": holds, "message": message})
            note(f"{record.short_id} {'holds' if holds else 'FAILS'}: {message}", as_json=as_json)
        for trace in traces:
            if store is not None and target in (None, trace.identity.target):
                rows.append(_measure(store, trace, device))
                note(f"{trace.id[:16]} imported: {rows[-1]['message']}", as_json=as_json)
    failed = sum(not row["verified"] for row in rows)
    if as_json:
        print_json({"records": rows, "failed": failed})
    else:
        print(f"{len(rows) - failed} of {len(rows)} hold.")
    if failed:
        raise typer.Exit(VerificationError.exit_code)


@app.command("merge")
def merge_stores(
    sources: Annotated[list[str], typer.Argument(metavar="URL...", help="Stores to copy from.")],
    records: Where = None,
    as_json: Json = False,
) -> None:
    """Copy all records of other stores into one; what is there already stays."""
    from vrmpy_tune.records import open_store

    rows = []
    with _open(records) as store:
        for source in sources:
            with open_store(source, readonly=True) as other:
                rows.append({"source": other.location, "added": store.merge_from(other)})
        total = store.count()
    if as_json:
        print_json({"merged": rows, "total": total})
    else:
        for row in rows:
            print(f"{row['added']} new records from {row['source']}")
        print(f"{total} records in all")


@app.command("prune")
def prune_store(
    *,
    keep: Annotated[
        int,
        typer.Option(min=0, max=LARGEST, help="Records to keep of each workload, target, metric."),
    ],
    records: Where = None,
    as_json: Json = False,
) -> None:
    """Remove all but the best records of each workload, target and metric."""
    with _open(records) as store:
        removed = store.prune(keep)
        left = store.count()
    if as_json:
        print_json({"removed": removed, "left": left})
    else:
        print(f"Removed {removed} records; {left} are left.")


@app.command("upgrade")
def upgrade_store(records: Where = None, as_json: Json = False) -> None:
    """Bring a store of an older version up to date; a newer one is refused."""
    with _open(records) as store:
        location, total = store.location, store.count()
    if as_json:
        print_json({"store": location, "total": total})
    else:
        print(f"{location} is up to date; it holds {total} records.")


@app.command("import")
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
    with _open(records) as store:
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


@app.command("export")
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
    """Write records to JSON Lines, sorted, or to a directory in TVM's form."""
    from vrmpy_tune.records import export_json_lines, export_tvm_json

    with _read(records) as stores:
        found = (stores.best_of_each if best else stores.query)(workload, target, metric)
        failed = stores.failures(workload) if failures else []
    stale = 0
    if tvm:
        export = export_tvm_json(found, path, _program_of)
        written, stale = export.written, len(export.stale)
        for record, reason in export.stale:
            print(f"{record.short_id} no longer replays: {reason}", file=sys.stderr)
    else:
        written = export_json_lines(found, path, failed)
    if as_json:
        print_json({"path": str(path), "written": written, "stale": stale})
    else:
        print(f"Wrote {written} lines to {path}.")


@app.command("plot")
def plot_store(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The figure: .png or .svg.")],
    *,
    workload: Workload = None,
    target: Target = None,
    metric: Metric = None,
    top: Annotated[
        int, typer.Option(min=1, help="Draw so many of the worst, and of the best, of each suite.")
    ] = DEFAULT_TOP,
    events: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="What tune --events wrote: search curves, too."),
    ] = None,
    records: Sources = None,
    as_json: Json = False,
) -> None:
    """Draw how near the packet bound the best records are, and how searches got there.

    Of each suite those that are furthest from the bound are drawn, and those that are nearest.
    """
    from vrmpy_tune.report.figure import check_figure_file
    from vrmpy_tune.report.records_plot import plot_records, read_curves

    check_figure_file(path)
    curves = read_curves(events or ())
    with _read(records) as stores:
        found = stores.best_of_each(workload, target, metric)
    drawn = plot_records(found, curves, path, top)
    if as_json:
        document = {"path": str(path), "records": len(found), "drawn": drawn}
        print_json({**document, "curves": len(curves)})
    else:
        print(f"Drew {drawn} of {len(found)} records and {len(curves)} curves to {path}.")


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


def _measure(store: Store, trace: ImportedTrace, device: str) -> dict[str, Any]:
    from vrmpy_tune.reverify import measure_imported

    try:
        record = measure_imported(trace, device)
    except VrmpyTuneError as error:
        return {"record": trace.id, "verified": False, "message": str(error)}
    store.add(record)
    return {
        "record": record.id,
        "verified": True,
        "message": figure_text(record.value, record.metric),
    }


def _get(stores: RecordReader, record_id: str) -> Record:
    record = stores.get(record_id)
    if record is None:
        raise MissingRecordError(
            f"No record {record_id} in {stores.location}. List them: vrmpy-tune records ls"
        )
    return record


def _open(where: str | None) -> Store:
    from vrmpy_tune.records import default_url, open_store

    return open_store(where or default_url())


def _read(where: Sequence[str] | None) -> StoreView:
    from vrmpy_tune.records import default_url, open_stores

    return open_stores(where or [default_url()])
