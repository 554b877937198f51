"""``vrmpy-tune compare-memory``: what VTCM and the user DMA would buy a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from search_spaces.memory import Memory
from vrmpy_tune.cli.limits import LARGEST
from vrmpy_tune.cli.options import (
    DEFAULT_TARGET,
    STORE_HELP,
    Json,
    SuiteName,
    Target,
    Variants,
    check_metric,
    read_memories,
    read_selection,
)
from vrmpy_tune.cli.streams import one_document, say
from vrmpy_tune.errors import EXIT_INTERRUPTED, UsageError
from vrmpy_tune.measurement import HVX_TIME_8GEN1, TIME_METRICS, is_time
from vrmpy_tune.model.opening import is_model
from vrmpy_tune.target import parse_target
from vrmpy_tune.tune.events import Interrupted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.tune.events import Event


def compare_memory(
    workloads: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORKLOAD]", help="Or name a --suite.", show_default=False),
    ] = None,
    *,
    suite: SuiteName = None,
    variant: Variants = None,
    target: Target = DEFAULT_TARGET,
    metric: Annotated[
        str, typer.Option(help=f"An estimated time: {', '.join(TIME_METRICS)}.")
    ] = HVX_TIME_8GEN1,
    memory: Annotated[
        list[str] | None,
        typer.Option(
            "--memory",
            metavar="PLAN",
            help=f"Which plans: {', '.join(Memory)}. May be repeated; all by default.",
        ),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, max=LARGEST, help="Candidates of each plan.")] = 16,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST, help="Same seed, same result.")] = 0,
    records: Annotated[
        str | None, typer.Option("--records", metavar="URL", help=STORE_HELP)
    ] = None,
    what_if: Annotated[
        bool,
        typer.Option("--what-if", help="Estimate once more with other parameters of the DMA."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare kernels with and without VTCM.

    Tunes each workload once for each plan: through the caches, copied into VTCM by vectors, brought
    there by the user DMA, and brought one slab ahead.  Prints the best of each, and where its time
    goes.  All are verified bit for bit.
    """
    check_metric(metric)
    if not is_time(metric):
        raise UsageError(
            f"{metric} does not know memory; compare by one of {', '.join(TIME_METRICS)}."
        )
    if any(is_model(text) for text in workloads or ()):
        raise UsageError("compare-memory takes workloads; `explain MODEL` names those of a model.")
    chosen = read_selection(workloads, suite, variant, say)
    hexagon = parse_target(target)
    from vrmpy_tune.tune.memory_comparison import compare_memory as compare

    memories = read_memories(memory) if memory else tuple(Memory)
    rows: list[dict[str, Any]] = []
    interrupted = False

    def listen(event: Event) -> None:
        nonlocal interrupted
        interrupted |= isinstance(event, Interrupted)

    with one_document(as_json) as emit:
        for workload in chosen:
            found = compare(
                workload, target=hexagon, metric=metric, trials=trials, seed=seed,
                records=records, memories=memories, what_if=what_if, events=listen,
            )  # fmt: skip
            for one in found:
                rows.append(one.as_json())
                say(_progress(rows[-1]))
            if interrupted:
                break
        if as_json:
            emit(
                {
                    "target": hexagon.name,
                    "metric": metric,
                    "trials": trials,
                    "interrupted": interrupted,
                    "rows": rows,
                }
            )
    if not as_json:
        print(comparison_text(rows))
    if interrupted:
        say("Interrupted: the same command goes on from here.")
        raise typer.Exit(EXIT_INTERRUPTED)


def _progress(row: dict[str, Any]) -> str:
    figure = row["reason"] or f"{row['estimated_us']:,.2f} us"
    return f"{row['workload']} {row['memory']}: {figure}"


def comparison_text(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows of ``compare-memory --json`` as plain text, microseconds by part."""
    lines = []
    for workload in dict.fromkeys(row["workload"] for row in rows):
        lines.append(workload)
        for row in rows:
            if row["workload"] == workload:
                lines += _lines(row)
    return "\n".join(lines)


def _lines(row: dict[str, Any]) -> list[str]:
    if row["estimated_us"] is None:
        return [f"  {row['memory']:9}  {row['reason']}"]
    parts = "  ".join(f"{name} {us:.1f}" for name, us in row["time_us"].items() if us >= 0.05)
    lines = [
        f"  {row['memory']:9} {row['estimated_us']:10,.2f} us  {parts}  "
        f"({row['packets_total']:,} packets, {row['measured']} candidates)"
    ]
    for name, values in row["what_if_us"].items():
        tried = ", ".join(f"{value}: {us:,.2f}" for value, us in values.items())
        lines.append(f"            with {name} of {tried} us")
    return lines
