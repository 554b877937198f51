"""``vrmpy-tune records verify``: what is said while records are measured again, and at the end."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vrmpy_tune.cli.records_common import (
    Json,
    Target,
    Where,
    Workload,
    get_record,
    open_for_reading,
)
from vrmpy_tune.cli.records_output import note, print_json
from vrmpy_tune.errors import DeviceError, VerificationError, VrmpyTuneError
from vrmpy_tune.measurement import figure_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.records import ImportedTrace, Record, Store
    from vrmpy_tune.reverify import Finding, Reverifier


Device = Annotated[str, typer.Option(help="Device to measure on.")]
Restamp = Annotated[
    bool,
    typer.Option(
        "--restamp",
        help="Store each record that is right as it is today, with its figure, code generator, "
        "toolchain and the fixed rule's figures. Those that are so already are passed over.",
    ),
]

_OTHERS: Final = {"other figure": "with another figure", "fails": "failed"}
"""Verdicts other than that a record holds, and how they are counted in words."""


def verify_records(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...")] = None,
    *,
    workload: Workload = None,
    target: Target = None,
    device: Device = "qemu",
    restamp: Restamp = False,
    records: Where = None,
    as_json: Json = False,
) -> None:
    """Rebuild, run and check records; measure imported traces, which makes records of them.

    Without ids, all records and imported traces that match.  A record holds if its output is right
    and its figure the same.  Exits 10 if one does not hold, or, with --restamp, is not right.
    """
    from vrmpy_tune.records import default_url

    where = records or default_url()
    with open_for_reading([where]) as reader:
        chosen = [get_record(reader, i) for i in ids] if ids else reader.query(workload, target)
        traces = [] if ids else reader.imported(workload)
    traces = [one for one in traces if target in (None, one.identity.target)]
    if verify(where, chosen, traces, device=device, stamp=restamp, as_json=as_json):
        raise typer.Exit(VerificationError.exit_code)


def verify(
    where: str,
    chosen: Sequence[Record],
    traces: Sequence[ImportedTrace],
    *,
    device: str,
    stamp: bool,
    as_json: bool,
) -> int:
    """Measure records and imported traces of a store, and print what was found.

    Parameters
    ----------
    where:
        The store.
    chosen, traces:
        What of it is measured.
    stamp:
        Whether records that are right are stored as they are today.

    Returns
    -------
    int
        How many records and traces do not hold, or are not right where they are stamped.
    """
    from vrmpy_tune.records import open_store
    from vrmpy_tune.restamp import is_stamped, restamp
    from vrmpy_tune.reverify import Reverifier

    rows: list[dict[str, Any]] = []
    passed_over = 0
    with ExitStack() as stack:
        # Only measured traces are written here, and JSON Lines hold none.
        store = stack.enter_context(open_store(where)) if traces else None
        again = stack.enter_context(Reverifier(device))
        if stamp:
            due = [record for record in chosen if not is_stamped(record, again.toolchain)]
            passed_over = len(chosen) - len(due)
            findings = restamp(where, due, again)
        else:
            findings = again.findings(chosen)
        for finding in findings:
            rows.append(finding_row(finding, stamp=stamp))
            verdict = str(finding.verdict)
            shown = verdict.upper() if not rows[-1]["verified"] else verdict
            note(f"{finding.record.short_id} {shown}: {finding.message}", as_json=as_json)
        for trace in traces:
            if store is not None:
                rows.append(_measured(store, trace, again))
                note(f"{trace.id[:16]} imported: {rows[-1]['message']}", as_json=as_json)
    document = summary_of(rows, stamped=stamp, passed_over=passed_over)
    if as_json:
        print_json({"records": rows, **document})
    else:
        print(summary_text(document))
    failed: int = document["failed"]
    return failed


def finding_row(finding: Finding, *, stamp: bool = False) -> dict[str, Any]:
    """Return the entry of ``records verify --json``.

    ``verified`` says whether the record holds, or, where it is stamped, whether it is right.
    """
    from vrmpy_tune.reverify import Verdict

    measured = finding.measured
    rule = measured.fixed_rule if measured else None
    return {
        "record": finding.record.id,
        "workload": finding.record.workload,
        "metric": finding.record.metric,
        "verdict": str(finding.verdict),
        "verified": measured is not None if stamp else finding.verdict is Verdict.HOLDS,
        "message": finding.message,
        "stored": finding.record.value,
        "measured": measured.value if measured else None,
        "generator": measured.generator if measured else None,
        "fixed_rule": rule.to_json() if rule else None,
    }


def summary_of(
    rows: Sequence[dict[str, Any]], *, stamped: bool, passed_over: int
) -> dict[str, Any]:
    """Return what the rows add up to."""
    return {
        "failed": sum(not row["verified"] for row in rows),
        "verdicts": dict(Counter(row["verdict"] for row in rows)),
        "generators": dict(Counter(row["generator"] for row in rows if row["generator"])),
        "stamped": sum(row["verified"] for row in rows) if stamped else 0,
        "passed_over": passed_over,
    }


def summary_text(document: dict[str, Any]) -> str:
    """Return the counts of ``records verify`` in words."""
    verdicts, generators = document["verdicts"], document["generators"]
    total, holding = sum(verdicts.values()), verdicts.get("holds", 0)
    parts = [f"{verdicts[one]} {word}" for one, word in _OTHERS.items() if one in verdicts]
    lines = [f"{holding} of {total} hold" + "".join(f", {part}" for part in parts) + "."]
    if generators:
        by = ", ".join(f"{count} {name}" for name, count in sorted(generators.items()))
        lines.append(f"Code generators: {by}.")
    if document["stamped"] or document["passed_over"]:
        lines.append(
            f"{document['stamped']} stored as they are today; {document['passed_over']} were so "
            "already."
        )
    return "\n".join(lines)


def _measured(store: Store, trace: ImportedTrace, again: Reverifier) -> dict[str, Any]:
    row: dict[str, Any] = {
        "record": trace.id,
        "workload": trace.identity.workload,
        "metric": trace.identity.metric,
        "stored": None,
        "fixed_rule": None,
    }
    try:
        record = again.measure(trace)
    except DeviceError:
        raise
    except VrmpyTuneError as error:
        failed = {"verdict": "fails", "verified": False, "measured": None, "generator": None}
        return row | failed | {"message": str(error)}
    store.add(record)
    return row | {
        "verdict": "holds",
        "verified": True,
        "measured": record.value,
        "generator": record.generator,
        "message": figure_text(record.value, record.metric),
    }
