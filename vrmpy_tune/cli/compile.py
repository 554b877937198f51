"""``vrmpy-tune compile``: stored records to a verified artifact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrmpy_tune.cli.options import (
    DEFAULT_TARGET,
    Device,
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
from vrmpy_tune.errors import UsageError
from vrmpy_tune.target import parse_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.target import HexagonTarget


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
    shipped: Shipped = True,
    metric: Annotated[
        str | None, typer.Option(help="Only records of this metric; else in order.")
    ] = None,
    device: Device = "qemu",
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Run each kernel and check its output.")
    ] = True,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit 3 if a workload has no record, not even by anchor."),
    ] = False,
    exact: Exact = False,
    compare_untuned: Annotated[
        bool, typer.Option("--compare-untuned", help="Run the untuned kernels too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compile kernels, or a whole model, from stored records.

    All is verified on the device; what was applied, what was not and why is reported.
    """
    hexagon = parse_target(target)
    check_metric(metric)
    if model := read_model(workloads, suite, variant):
        if compare_untuned:
            raise UsageError("--compare-untuned is for workloads, not for models.")
        options = {"metric": metric, "device": device if verify else None}
        _compile_model(
            model, hexagon, stores(records, shipped=shipped), output, as_json,
            **options, strict=strict, exact=exact,
        )  # fmt: skip
        return
    chosen = read_selection(workloads, suite, variant, say)

    from vrmpy_tune.compiler import compile_workloads

    with one_document(as_json) as emit:
        report = compile_workloads(
            chosen,
            target=hexagon,
            records=stores(records, shipped=shipped),
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


def _compile_model(
    model: Path,
    target: HexagonTarget,
    records: Sequence[str],
    output: Path,
    as_json: bool,
    **options: Any,
) -> None:
    from vrmpy_tune.model.agreement import NOT_ASKED, compare_with_runtime
    from vrmpy_tune.model.compile import compile_network
    from vrmpy_tune.model.opening import open_model

    with one_document(as_json) as emit:
        network, source = open_model(model)
        agreement = NOT_ASKED
        if options["device"] is not None:
            say("Comparing the imported network with the runtime of its file, if there is one")
            agreement = compare_with_runtime(model, network)
        report = compile_network(
            network, target=target, records=records, output=output, source=source, progress=say,
            agreement=agreement, **options,
        ).as_json()  # fmt: skip
        if as_json:
            emit(report)
    if not as_json:
        print(network_text(report))


def network_text(report: dict[str, Any]) -> str:
    """Return the document of ``compile --json`` of a model in words, two lines a task."""
    from vrmpy_tune.model.agreement import agreement_text

    lines = []
    for task in report["tasks"]:
        lines += [f"{task['count']:>3} x {task['workload']}", f"      {_task_figures(task)}"]
    done = [f"{one} of {every} {name}" for name, (one, every) in report["tensorized"].items()]
    lines.append(f"tensorized: {', '.join(done)}")
    lookups = [task["lookup"] for task in report["tasks"] if task["record"] is not None]
    lines.append(
        f"{len(lookups)} of {len(report['tasks'])} tasks have records, "
        f"{lookups.count('applied (by anchor)')} of them by anchor"
    )
    costs = [task["missing_costs_at_most"] for task in report["tasks"]]
    if any(costs):
        lines.append(f"what was missed costs at most {sum(filter(None, costs)):,} packets")
    lines += _fallbacks(report["tasks"])
    if report["unverified"]:
        lines.append(f"compiled only, not verified: {report['unverified']}")
    if report["verified"]:
        lines.append(
            f"{report['packets_total']:,} packets, {report['packets_critical']:,} on the critical "
            "path"
        )
        lines.append(
            "verified: device against interpreter bit for bit; "
            + agreement_text(report["reference"])
        )
    lines.append(f"{report['seconds']['all']:.0f} s; see {report['artifact']}")
    return "\n".join(lines)


def _fallbacks(tasks: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line about the kernels that the packet scheduler did not understand, if any."""
    reasons = [task["codegen_fallback"] for task in tasks if task["codegen_fallback"]]
    if not reasons:
        return []
    return [f"{len(reasons)} of {len(tasks)} kernels with LLVM's packets: {reasons[0]}"]


def _task_figures(task: dict[str, Any]) -> str:
    parts = []
    if task["packets"] is not None:
        parts.append(f"{task['packets']:,} packets, {task['ceiling_fraction']:.1%} of the ceiling")
    if task["record"] is None:
        parts.append(f"{task['status']}, by the fixed rule")
    else:
        parts.append(f"record {task['record'][:16]} ({task['metric']}) {task['lookup']}")
    return "; ".join(parts)


def report_text(report: dict[str, Any]) -> str:
    """Return the document of ``compile --json`` in words, three lines a kernel."""
    lines = []
    for task in report["tasks"]:
        lines += [str(task["workload"]), f"  {_figures(task)}", f"  {_source(task)}"]
    lines += _fallbacks(report["tasks"])
    if report["unverified"]:
        lines.append(f"compiled only, not verified: {report['unverified']}")
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
        path = f"{task['packets_critical']:,} on the critical path"
        parts.append(f"{word} {tuned:,} packets ({path})")
    if task.get("estimated_us") is not None:
        parts.append(f"{task['estimated_us']:,.2f} us estimated")
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
