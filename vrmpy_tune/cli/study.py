"""``vrmpy-tune study``: what the search buys over chance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrmpy_tune.cli.options import (
    DEFAULT_TARGET,
    STORE_HELP,
    Json,
    Target,
    Workloads,
    read_selection,
)
from vrmpy_tune.cli.streams import one_document, say
from vrmpy_tune.target import parse_target

if TYPE_CHECKING:
    from collections.abc import Sequence


def study_searches(
    workloads: Workloads,
    *,
    target: Target = DEFAULT_TARGET,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each search.")] = 3,
    trials: Annotated[int, typer.Option(min=1, help="Candidates a run.")] = 128,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Gets curves.csv, .json and .png.")
    ] = Path("study"),
    records: Annotated[
        str | None, typer.Option("--records", metavar="URL", help=f"{STORE_HELP} Default: in DIR.")
    ] = None,
    transfer: Annotated[
        bool, typer.Option(help="Start from what records of similar workloads say.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare the evolutionary search with a random one.

    Runs both on each workload with several seeds, and says after how many candidates each had 95%
    of its final best.  The same command again measures nothing twice.
    """
    chosen = read_selection(workloads, None, None, say)
    hexagon = parse_target(target)

    from vrmpy_tune.report.search_curves import plot_curves
    from vrmpy_tune.tune.study import Curve, run_study, summary, write_curves

    output.mkdir(parents=True, exist_ok=True)
    curves: list[Curve] = []
    with one_document(as_json) as emit:
        for curve in run_study(
            chosen,
            seeds=range(seeds),
            trials=trials,
            target=hexagon,
            records=records or str(output / "study.db"),
            transfer=transfer,
        ):
            curves.append(curve)
            say(f"{curve.workload} {curve.search}, seed {curve.seed}: {curve.best:,} packets")
            write_curves(curves, output)
        rows = summary(curves)
        if curves:
            plot_curves(curves, output / "curves.png")
        if as_json:
            emit({"summary": rows, "output": str(output)})
    if not as_json:
        print(summary_text(rows))


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
