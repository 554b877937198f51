"""``vrmpy-tune records plot``: how near the packet bound the best records are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vrmpy_tune.cli.records_common import (
    Json,
    Metric,
    Sources,
    Target,
    Workload,
    open_for_reading,
)
from vrmpy_tune.cli.records_output import print_json

DEFAULT_TOP = 3
"""Bars of the worst, and of the best, of each suite."""


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
    with open_for_reading(records) as stores:
        found = stores.best_of_each(workload, target, metric)
    drawn = plot_records(found, curves, path, top)
    if as_json:
        document = {"path": str(path), "records": len(found), "drawn": drawn}
        print_json({**document, "curves": len(curves)})
    else:
        print(f"Drew {drawn} of {len(found)} records and {len(curves)} curves to {path}.")
