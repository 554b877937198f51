"""``vrmpy-tune compile``: stored records to a verified artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vrmpy_tune.cli.options import (
    DEFAULT_TARGET,
    Device,
    Json,
    Sources,
    SuiteName,
    Target,
    Variants,
    Workloads,
    check_metric,
    read_selection,
    stores,
)
from vrmpy_tune.cli.streams import one_document, say
from vrmpy_tune.target import parse_target


def compile_kernels(
    workloads: Workloads = None,
    *,
    suite: SuiteName = None,
    variant: Variants = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where the artifact goes.")
    ],
    target: Target = DEFAULT_TARGET,
    records: Sources = None,
    metric: Annotated[
        str | None, typer.Option(help="Only records of this metric; else in order.")
    ] = None,
    device: Device = "qemu",
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Run each kernel and check its output.")
    ] = True,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 3 if a record is missing.")
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Only records of this very toolchain.")
    ] = False,
    compare_untuned: Annotated[
        bool, typer.Option("--compare-untuned", help="Run the untuned kernels too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compile kernels from stored records.

    Each is verified on the device; what was applied, what was not and why is reported.
    """
    chosen = read_selection(workloads, suite, variant, say)
    hexagon = parse_target(target)
    check_metric(metric)

    from vrmpy_tune.compiler import compile_workloads

    with one_document(as_json) as emit:
        report = compile_workloads(
            chosen,
            target=hexagon,
            records=stores(records),
            output=output,
            metric=metric,
            device=device if verify else None,
            strict=strict,
            exact=exact,
            compare_untuned=compare_untuned,
        ).as_json()
        if as_json:
            emit(report)
    if not as_json:
        print(report_text(report))


def report_text(report: dict[str, Any]) -> str:
    """Return the document of ``compile --json`` in words, three lines a kernel."""
    lines = []
    for task in report["tasks"]:
        lines += [str(task["workload"]), f"  {_figures(task)}", f"  {_source(task)}"]
    applied = sum(task["record"] is not None for task in report["tasks"])
    lines.append(f"{applied} of {len(report['tasks'])} records applied; see {report['artifact']}")
    return "\n".join(lines)


def _figures(task: dict[str, Any]) -> str:
    tuned, untuned = task.get("packets"), task.get("untuned_packets")
    parts = []
    if untuned is not None:
        parts.append(f"untuned {untuned:,} packets")
    if tuned is not None:
        word = "tuned" if task["record"] is not None else "by the fixed rule"
        parts.append(f"{word} {tuned:,} packets")
    if tuned and untuned:
        parts.append(f"ratio {untuned / tuned:.2f}")
    if task.get("macs_per_packet") is not None:
        parts.append(f"{task['macs_per_packet']:.1f} MACs/packet")
    if task.get("ceiling_fraction") is not None:
        parts.append(f"{task['ceiling_fraction']:.1%} of the ceiling")
    return ", ".join(parts) or "not run"


def _source(task: dict[str, Any]) -> str:
    if task["record"] is None:
        return f"{task['status']}: {task['reason']}"
    checked = "output verified" if task["verified"] else "output not verified"
    return f"record {task['record'][:16]} {task['lookup']}, {checked}"
