"""``vrmpy-tune bench``: tuned, untuned and peers, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vrmpy_tune.cli.options import (
    DEFAULT_TARGET,
    Device,
    Json,
    Sources,
    Target,
    Variants,
    check_metric,
    stores,
)
from vrmpy_tune.cli.streams import one_document, say
from vrmpy_tune.measurement import QEMU_PACKETS
from vrmpy_tune.suites import SUITES, suite_called
from vrmpy_tune.target import parse_target

INTERRUPTED = 130


def bench(
    *,
    suite: Annotated[str, typer.Option(metavar="NAME", help=f"One of {', '.join(SUITES)}.")],
    variant: Variants = None,
    target: Target = DEFAULT_TARGET,
    metric: Annotated[str, typer.Option(help="What is measured.")] = QEMU_PACKETS,
    records: Sources = None,
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
    exact: Annotated[
        bool, typer.Option("--exact", help="Only records of this very toolchain.")
    ] = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the rows as CSV, too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a suite now, next to what other systems reach.

    Each record is applied, built, run and verified again; nothing is taken from what is stored.
    """
    chosen = suite_called(suite)
    hexagon = parse_target(target)
    check_metric(metric)

    from vrmpy_tune.bench import bench_suite
    from vrmpy_tune.bench.row import OWN_SYSTEMS, TUNED
    from vrmpy_tune.report.bench_table import print_bench, write_csv

    with one_document(as_json) as emit:
        document = bench_suite(
            chosen,
            target=hexagon,
            metric=metric,
            records=stores(records),
            device=device,
            variants=tuple(variant or ()),
            systems=(TUNED,) if untuned is False else OWN_SYSTEMS,
            find_out=untuned is True,
            exact=exact,
            progress=say,
        ).as_json()
        if csv is not None:
            write_csv(document, csv)
        if as_json:
            emit(document)
    if not as_json:
        print_bench(document)
    _end(document)


def _end(document: dict[str, Any]) -> None:
    if document["interrupted"]:
        raise typer.Exit(INTERRUPTED)
