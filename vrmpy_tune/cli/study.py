"""``vrmpy-tune study``: what the search buys over chance, and estimated time over packets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrmpy_tune.cli.limits import LARGEST
from vrmpy_tune.cli.options import (
    DEFAULT_TARGET,
    STORE_HELP,
    Json,
    SuiteName,
    Target,
    Variants,
    Workloads,
    read_model,
    read_selection,
)
from vrmpy_tune.cli.streams import one_document, say
from vrmpy_tune.errors import EXIT_INTERRUPTED
from vrmpy_tune.records.atomic_file import replace_file
from vrmpy_tune.target import parse_target
from vrmpy_tune.tune.events import Interrupted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.tune.events import Event


def study_searches(
    workloads: Workloads = None,
    *,
    suite: SuiteName = None,
    variant: Variants = None,
    target: Target = DEFAULT_TARGET,
    seeds: Annotated[int, typer.Option(min=1, max=LARGEST, help="Runs of each search.")] = 3,
    trials: Annotated[int, typer.Option(min=1, max=LARGEST, help="Candidates a run.")] = 128,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Gets curves, or networks."),
    ] = Path("study"),
    records: Annotated[
        str | None, typer.Option("--records", metavar="URL", help=f"{STORE_HELP} Default: in DIR.")
    ] = None,
    transfer: Annotated[
        bool, typer.Option(help="Start from what records of similar workloads say.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare searches, or what a model is tuned for.

    Runs the evolutionary search and a random one on each workload with several seeds, and says
    after how many candidates each had 95% of its final best.

    A model is tuned for estimated time and for packets, with the same seeds and trials (so many a
    task on average); then both networks are compiled, run, and their times estimated.

    The same command again measures nothing twice.
    """
    hexagon = parse_target(target)
    if model := read_model(workloads, suite, variant):
        options = {"seeds": range(seeds), "trials": trials, "transfer": transfer}
        _study_model(model, hexagon, output, records, as_json, **options)
        return
    chosen = read_selection(workloads, suite, variant, say)

    from vrmpy_tune.report.search_curves import plot_curves
    from vrmpy_tune.tune.study import Curve, run_study, summary, write_curves

    output.mkdir(parents=True, exist_ok=True)
    curves: list[Curve] = []
    interrupted = False

    def listen(event: Event) -> None:
        nonlocal interrupted
        interrupted |= isinstance(event, Interrupted)

    with one_document(as_json) as emit:
        for curve in run_study(
            chosen,
            seeds=range(seeds),
            trials=trials,
            target=hexagon,
            records=records or str(output / "study.db"),
            transfer=transfer,
            events=listen,
        ):
            curves.append(curve)
            say(f"{curve.workload} {curve.search}, seed {curve.seed}: {curve.best:,} packets")
            write_curves(curves, output)
        rows = summary(curves)
        if curves:
            plot_curves(curves, output / "curves.png")
        if as_json:
            emit({"summary": rows, "interrupted": interrupted, "output": str(output)})
    if not as_json:
        print(summary_text(rows))
    _end(interrupted)


def _study_model(
    model: Path,
    target: HexagonTarget,
    output: Path,
    records: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    from vrmpy_tune.cli.displays import displays
    from vrmpy_tune.model.metric_study import study_metrics, summary

    output.mkdir(parents=True, exist_ok=True)
    networks = []
    interrupted = False

    def listen(event: Event) -> None:
        nonlocal interrupted
        interrupted |= isinstance(event, Interrupted)
        show(event)

    with one_document(as_json) as emit, displays(None, stdout_is_free=not as_json) as show:
        for network in study_metrics(
            model, target=target, directory=output, records=records or str(output / "study.db"),
            events=listen, progress=say, **options,
        ):  # fmt: skip
            networks.append(network)
            say(f"Seed {network.seed}, {network.metric}: {network.estimated_us:,.1f} us")
        report = {**summary(networks), "interrupted": interrupted, "output": str(output)}
        if not interrupted:
            replace_file(output / "networks.json", [json.dumps(report, indent=1)])
        if as_json:
            emit(report)
    if not as_json:
        print(networks_text(report))
    _end(interrupted)


def _end(interrupted: bool) -> None:
    """Exit as interrupted commands do, if this one was."""
    if interrupted:
        say("Interrupted: the same study command goes on from here.")
        raise typer.Exit(EXIT_INTERRUPTED)


def networks_text(report: dict[str, Any]) -> str:
    """Return a study of networks as text: seeds, then the tasks that differ, and by what."""
    lines = [
        f"seed {row['seed']}: {row['tuned_for_time_us']:,.1f} us tuned for {report['judge']}, "
        f"{row['tuned_for_packets_us']:,.1f} us for {report['rival']}, x {row['ratio']:.3f} "
        f"({row['measured'][0]} and {row['measured'][1]} candidates)"
        for row in report["seeds"]
    ]
    for task in report["tasks"]:
        told = _parts_text(task["parts_us"], 3)
        lines.append(
            f"{task['difference_us']:+9.1f} us ({told})  {task['count']} x {task['workload']}"
        )
    if report["geomean_ratio"] is not None:
        told = _parts_text(report["parts_us"], len(report["parts_us"]))
        lines.append(f"mean difference of all tasks: {told} us")
        lines.append(f"geometric mean of the ratios: {report['geomean_ratio']:.3f}")
    return "\n".join(lines)


def _parts_text(parts: dict[str, float], most: int) -> str:
    largest = sorted(parts.items(), key=lambda part: -abs(part[1]))[:most]
    return ", ".join(f"{part} {us:+,.1f}" for part, us in largest)


def summary_text(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows of a study as a table in plain text."""
    lines = []
    for row in rows:
        of_all = row["trials_to_95_of_all"]
        lines.append(
            f"{row['workload']} {row['search']}, seed {row['seed']}: {row['best']:,} packets "
            f"({row['ceiling_fraction']:.1%} of the ceiling), 95% of it after "
            f"{row['trials_to_95']} of {row['trials']}, 95% of the best of all "
            f"{f'after {of_all}' if of_all else 'never'}"
        )
    return "\n".join(lines)
