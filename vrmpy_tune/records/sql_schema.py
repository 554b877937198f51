"""Tables of the record store, and their version.

Every row holds its object as canonical JSON.  The other columns repeat what queries select and sort
by, and the last one is the SHA-256 of all of them: a row of which any column was altered is no
longer read (:mod:`vrmpy_tune.records.sql_rows`).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    inspect,
    select,
)

from vrmpy_tune.errors import RecordFormatError, StoreError
from vrmpy_tune.records.damage import remedy
from vrmpy_tune.records.sql_errors import DamagedStoreError

STORE_SCHEMA: Final = 2
"""Version of the tables."""

METADATA: Final = MetaData()

# Orders texts by code point, as SQLite and Python do, whatever the server's language.
_Text = Text().with_variant(Text(collation="C"), "postgresql")
_Sha256 = String(64).with_variant(String(64, collation="C"), "postgresql")

VERSION: Final = Table("vrmpy_schema", METADATA, Column("version", Integer, nullable=False))

RECORDS: Final = Table(
    "vrmpy_records",
    METADATA,
    Column("id", _Sha256, primary_key=True),
    Column("workload", _Text, nullable=False),
    Column("target", _Text, nullable=False),
    Column("metric", _Text, nullable=False),
    Column("space", _Text, nullable=False),
    Column("value", BigInteger, nullable=False),
    Column("body", _Text, nullable=False),
    Column("checksum", _Sha256, nullable=False),
    # Last, as in stores that were migrated: damaged files are read by the order of columns.
    Column("packets_total", BigInteger, nullable=False),
    Column("toolchain", _Text, nullable=False),
)
"""Verified records; ``toolchain`` is that of :mod:`vrmpy_tune.records.same_toolchain`."""

GROUP: Final = (RECORDS.c.workload, RECORDS.c.target, RECORDS.c.metric)
"""Columns of what is ranked together."""

BEST_FIRST: Final = (RECORDS.c.value, RECORDS.c.packets_total, RECORDS.c.id)
"""Columns that rank records of one group, as :attr:`vrmpy_tune.records.record.Record.sort_key`."""

# Holds all that a ranking reads, so that no row is visited that is not shown.
RANKING: Final = Index("vrmpy_records_ranking", *GROUP, *BEST_FIRST, RECORDS.c.toolchain)


def _side_table(name: str) -> Table:
    return Table(
        name,
        METADATA,
        Column("id", _Sha256, primary_key=True),
        Column("workload", _Text, nullable=False, index=True),
        Column("body", _Text, nullable=False),
        Column("checksum", _Sha256, nullable=False),
    )


FAILURES: Final = _side_table("vrmpy_failures")
IMPORTED: Final = _side_table("vrmpy_imported")
FINISHED: Final = _side_table("vrmpy_finished_runs")
"""Finished runs; ``id`` is the run's key, and ``workload`` stays empty."""


def stored_version(connection: Connection, location: str) -> int | None:
    """Return the version of the tables, or None if the database is empty of ours.

    Raises
    ------
    StoreError
        If it is somebody else's SQLite database, in which we would not put our tables.
    RecordFormatError
        If a newer version of this project wrote it.
    """
    names = inspect(connection).get_table_names()
    if VERSION.name not in names:
        if names and connection.dialect.name == "sqlite":
            raise StoreError(
                f"{location} is a database, but not a record store: it holds the table "
                f"'{names[0]}'. Name another file with --records."
            )
        return None
    version = connection.scalar(select(VERSION.c.version))
    if not isinstance(version, int):
        raise DamagedStoreError(
            f"The record store {location} names no schema version: it is damaged. "
            f"{remedy(location)}"
        )
    if version > STORE_SCHEMA:
        raise RecordFormatError(
            f"The record store {location} has schema {version}, written by a newer vrmpy-tune; "
            f"this version reads up to {STORE_SCHEMA}. Upgrade: pip install -U vrmpy-tune."
        )
    return int(version)
