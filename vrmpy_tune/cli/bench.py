"""``vrmpy-tune bench``: tuned, untuned and peers, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrmpy_tune.cli.limits import LARGEST
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
    read_workloads,
    stores,
)
from vrmpy_tune.cli.streams import one_document, say
from vrmpy_tune.errors import EXIT_INTERRUPTED, UsageError
from vrmpy_tune.measurement import DEFAULT_METRIC, QEMU_PACKETS
from vrmpy_tune.report.figure import check_directory, check_figure_file
from vrmpy_tune.suites import suite_called
from vrmpy_tune.target import parse_target
from vrmpy_tune.tune.effort import EFFORTS
from vrmpy_tune.tune.effort import effort as effort_called

if TYPE_CHECKING:
    from vrmpy_tune.suites import Suite


def bench(
    workloads: Workloads = None,
    *,
    suite: SuiteName = None,
    variant: Variants = None,
    random: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=LARGEST,
            metavar="N",
            help="Instead of a suite: N random workloads, and those named.",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=LARGEST,
            help="With --random: seed of the drawn workloads and of their searches.",
        ),
    ] = 0,
    trials: Annotated[
        int,
        typer.Option(
            min=1, max=LARGEST, help="Without a suite: candidates for one without a record."
        ),
    ] = 16,
    effort: Annotated[
        str, typer.Option(help=f"Without a suite: how to search; one of {', '.join(EFFORTS)}.")
    ] = "quick",
    target: Target = DEFAULT_TARGET,
    metric: Annotated[
        str | None,
        typer.Option(
            help="What is measured, and which records are best. By default "
            f"{DEFAULT_METRIC}; for the suite peers {QEMU_PACKETS}, for peers ran on one thread.",
            show_default=False,
        ),
    ] = None,
    records: Sources = None,
    shipped: Shipped = True,
    device: Device = "qemu",
    untuned: Annotated[
        bool | None,
        typer.Option(
            "--untuned/--no-untuned",
            help="Find out MetaSchedule's own defaults, too (minutes, once); or measure "
            "nothing but records. By default, records and the fixed rule.",
            show_default=False,
        ),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=LARGEST,
            help="Of MetaSchedule's defaults, how many to draw for a workload: 24 by default.",
        ),
    ] = None,
    exact: Exact = False,
    every_peer: Annotated[
        bool, typer.Option("--every-peer", help="Print all rows of other systems, not the best.")
    ] = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the rows as CSV, too.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the rows, too: .png or .svg.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a suite now, next to what other systems reach.

    Each record is applied, built, run and verified again. Two kinds of rows are not measured now:
    other systems' are published figures (vrmpy_tune/suites/peers.csv), and MetaSchedule's
    defaults, once --untuned has found them, are taken from the store.

    Named or random workloads without a record are tuned first.
    """
    chosen = None if suite is None else suite_called(suite)
    named = read_workloads(workloads or ())
    if (chosen is None) == (random is None and not named):
        raise UsageError("Name either a --suite, or a number of --random workloads, or workloads.")
    if chosen is None and (variant or untuned is not None or exact or candidates):
        raise UsageError("--variant, --untuned, --candidates and --exact belong to a --suite.")
    if chosen is not None:
        chosen.select(tuple(variant or ()))
    options: dict[str, Any] = {
        "target": parse_target(target),
        "metric": check_metric(metric) or (chosen.metric if chosen else DEFAULT_METRIC),
        "device": device,
        "progress": say,
        **({"candidates": candidates} if candidates else {}),
    }
    effort_called(effort)
    if plot is not None:
        check_figure_file(plot)
    if csv is not None:
        check_directory(csv)

    from vrmpy_tune.report.bench_plot import plot_bench
    from vrmpy_tune.report.bench_table import print_bench, write_csv

    with one_document(as_json) as emit:
        options["records"] = stores(records, shipped=shipped)
        if chosen is None:
            search = {"seed": seed, "trials": trials, "effort": effort, "shipped": shipped}
            document = _random(random or 0, workloads=named, **search, **options)
        else:
            document = _suite(chosen, tuple(variant or ()), untuned, exact, options)
        if csv is not None:
            write_csv(document, csv)
        if plot is not None:
            plot_bench(document, plot)
        if as_json:
            emit(document)
    if not as_json:
        print_bench(document, every_peer=every_peer)
    if document["interrupted"]:
        raise typer.Exit(EXIT_INTERRUPTED)


def _random(number: int, **options: Any) -> dict[str, Any]:
    from vrmpy_tune.bench import bench_random

    return bench_random(number, **options).as_json()


def _suite(
    suite: Suite,
    variants: tuple[str, ...],
    untuned: bool | None,
    exact: bool,
    options: dict[str, Any],
) -> dict[str, Any]:
    from vrmpy_tune.bench import bench_suite
    from vrmpy_tune.bench.row import OWN_SYSTEMS, TUNED

    return bench_suite(
        suite,
        variants=variants,
        systems=(TUNED,) if untuned is False else OWN_SYSTEMS,
        find_out=untuned is True,
        exact=exact,
        **options,
    ).as_json()
