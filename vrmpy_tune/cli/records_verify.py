"""``vrmpy-tune records verify``: rebuild, run and check."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrmpy_tune.cli.records_common import (
    Json,
    Target,
    Where,
    Workload,
    get_record,
    open_for_reading,
    open_own,
)
from vrmpy_tune.cli.records_output import note, print_json
from vrmpy_tune.errors import VerificationError, VrmpyTuneError
from vrmpy_tune.measurement import figure_text

if TYPE_CHECKING:
    from vrmpy_tune.records import ImportedTrace, Store

Device = Annotated[str, typer.Option(help="Device to measure on.")]


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
    with open_for_reading([records] if records else None) as reader:
        chosen = [get_record(reader, i) for i in ids] if ids else reader.query(workload, target)
        traces = [] if ids else reader.imported(workload)
    with ExitStack() as stack:
        # Only measured traces are written, and JSON Lines hold none.
        store = stack.enter_context(open_own(records)) if traces else None
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
