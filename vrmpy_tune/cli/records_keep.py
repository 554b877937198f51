"""``vrmpy-tune records``: what merges, prunes and upgrades whole stores."""

from __future__ import annotations

from typing import Annotated

import typer

from vrmpy_tune.cli.limits import LARGEST
from vrmpy_tune.cli.records_common import (
    Json,
    Where,
    open_own,
)
from vrmpy_tune.cli.records_output import print_json


def merge_stores(
    sources: Annotated[list[str], typer.Argument(metavar="URL...", help="Stores to copy from.")],
    records: Where = None,
    as_json: Json = False,
) -> None:
    """Copy all records of other stores into one; what is there already stays."""
    from vrmpy_tune.records import open_store

    rows = []
    with open_own(records) as store:
        for source in sources:
            with open_store(source, readonly=True) as other:
                rows.append({"source": other.location, "added": store.merge_from(other)})
        total = store.count()
    if as_json:
        print_json({"merged": rows, "total": total})
    else:
        for row in rows:
            print(f"{row['added']} new records from {row['source']}")
        print(f"{total} records in all")


def prune_store(
    *,
    keep: Annotated[
        int,
        typer.Option(min=0, max=LARGEST, help="Records to keep of each workload, target, metric."),
    ],
    records: Where = None,
    as_json: Json = False,
) -> None:
    """Remove all but the best records of each workload, target and metric."""
    with open_own(records) as store:
        removed = store.prune(keep)
        left = store.count()
    if as_json:
        print_json({"removed": removed, "left": left})
    else:
        print(f"Removed {removed} records; {left} are left.")


def upgrade_store(records: Where = None, as_json: Json = False) -> None:
    """Bring a store of an older version up to date; a newer one is refused."""
    with open_own(records) as store:
        location, total = store.location, store.count()
    if as_json:
        print_json({"store": location, "total": total})
    else:
        print(f"{location} is up to date; it holds {total} records.")
