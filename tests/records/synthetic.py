"""Stores of many records, made of the shipped ones: for tests of how much is read.

python -m tests.records.synthetic /tmp/many.db --records 100000
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, cast

from sqlalchemy import create_engine, insert

from vrmpy_tune.measurement import is_time
from vrmpy_tune.records import SqlStore, open_store
from vrmpy_tune.records.safe_json import canonical_json
from vrmpy_tune.records.same_toolchain import toolchain_key
from vrmpy_tune.records.shipped import shipped_records
from vrmpy_tune.records.sql_rows import checksum, record_row
from vrmpy_tune.records.sql_schema import RECORDS

BATCH = 1000


def synthetic_rows(count: int, groups: int = 250) -> Iterator[dict[str, Any]]:
    """Yield rows of ``count`` records of ``groups`` workloads: the shipped ones, and worse ones.

    The best record of each workload is a shipped one, and replays; the traces of the others are as
    long as real ones, but have a decision too many.  They are made without the checks that new
    records go through, which would take most of the time.
    """
    directory = shipped_records()
    assert directory is not None
    with open_store(directory, readonly=True) as shipped:
        best = [one for one in shipped.best_of_each() if not is_time(one.metric)][:groups]
    fields = [one.to_json() for one in best]
    yield from map(record_row, best[:count])
    for number in range(count - len(best)):
        base, copy = best[number % len(best)], dict(fields[number % len(best)])
        instructions, decisions = cast("list[list[Any]]", copy["trace"])
        copy["trace"] = [instructions, [*decisions, [len(instructions), [number]]]]
        worse = 1 + number // len(best)
        identity = replace(base.identity, trace=canonical_json(copy["trace"]))
        copy["id"] = identity.id
        copy["packets_total"] = base.counts.packets_total + worse
        copy["packets_critical"] = base.counts.packets_critical + worse
        row = {
            "id": identity.id,
            **{name: getattr(base, name) for name in ("workload", "target", "metric", "space")},
            "value": base.value + worse,
            "packets_total": copy["packets_total"],
            "toolchain": toolchain_key(base.toolchain),
            "body": canonical_json(copy),
        }
        yield row | {"checksum": checksum(row)}


def fill(url: str, count: int, groups: int = 250) -> None:
    """Add synthetic records to a store, which is made if it is not there."""
    SqlStore(url).close()
    engine = create_engine(url)
    rows = synthetic_rows(count, groups)
    with engine.begin() as connection:
        while batch := list(islice(rows, BATCH)):
            connection.execute(insert(RECORDS), batch)
    engine.dispose()


def main() -> None:
    """Fill the store that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--groups", type=int, default=250)
    given = parser.parse_args()
    url = given.store if "://" in given.store else f"sqlite:///{given.store}"
    fill(url, given.records, given.groups)


if __name__ == "__main__":
    main()
