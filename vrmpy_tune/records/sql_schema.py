"""Tables of the record store, their version, and the way from past versions to the present.

Every row holds its object as canonical JSON and the SHA-256 of that text; the other columns repeat
what queries select and sort by.
"""

from __future__ import annotations

import hashlib
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
    insert,
    inspect,
    select,
    text,
    update,
)

from vrmpy_tune.errors import RecordFormatError, StoreError
from vrmpy_tune.records.migration import migrate
from vrmpy_tune.records.record import Record
from vrmpy_tune.records.safe_json import canonical_json, parse_json

STORE_SCHEMA: Final = 1
"""Version of the tables."""

_METADATA: Final = MetaData()

# Orders texts by code point, as SQLite and Python do, whatever the server's language.
_Text = Text().with_variant(Text(collation="C"), "postgresql")
_Sha256 = String(64).with_variant(String(64, collation="C"), "postgresql")

VERSION: Final = Table("vrmpy_schema", _METADATA, Column("version", Integer, nullable=False))

RECORDS: Final = Table(
    "vrmpy_records",
    _METADATA,
    Column("id", _Sha256, primary_key=True),
    Column("workload", _Text, nullable=False),
    Column("target", _Text, nullable=False),
    Column("metric", _Text, nullable=False),
    Column("space", _Text, nullable=False),
    Column("value", BigInteger, nullable=False),
    Column("body", _Text, nullable=False),
    Column("checksum", _Sha256, nullable=False),
)
Index(
    "vrmpy_records_ranking",
    RECORDS.c.workload,
    RECORDS.c.target,
    RECORDS.c.metric,
    RECORDS.c.value,
    RECORDS.c.id,
)


def _side_table(name: str) -> Table:
    return Table(
        name,
        _METADATA,
        Column("id", _Sha256, primary_key=True),
        Column("workload", _Text, nullable=False, index=True),
        Column("body", _Text, nullable=False),
        Column("checksum", _Sha256, nullable=False),
    )


FAILURES: Final = _side_table("vrmpy_failures")
IMPORTED: Final = _side_table("vrmpy_imported")
FINISHED: Final = _side_table("vrmpy_finished_runs")
"""Finished runs; ``id`` is the run's key, and ``workload`` stays empty."""


def checksum(body: str) -> str:
    """Return the SHA-256 of a row's body, in hexadecimal."""
    return hashlib.sha256(body.encode("ascii", "replace")).hexdigest()


def record_row(record: Record) -> dict[str, str | int]:
    """Return the row that holds ``record``."""
    body = canonical_json(record.to_json())
    return {
        "id": record.id,
        "workload": record.workload,
        "target": record.target,
        "metric": record.metric,
        "space": record.space,
        "value": record.value,
        "body": body,
        "checksum": checksum(body),
    }


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
    if version is None:
        raise StoreError(f"The record store {location} names no schema version: it is damaged.")
    if version > STORE_SCHEMA:
        raise RecordFormatError(
            f"The record store {location} has schema {version}, written by a newer vrmpy-tune; "
            f"this version reads up to {STORE_SCHEMA}. Upgrade: pip install -U vrmpy-tune."
        )
    return int(version)


def bring_up_to_date(connection: Connection, location: str) -> None:
    """Create the tables, or migrate those of a past version, inside the caller's transaction."""
    if connection.dialect.name == "postgresql":
        # Two first users at once would both create the tables; the number is ours alone.
        connection.execute(text("SELECT pg_advisory_xact_lock(7682775)"))
    version = stored_version(connection, location)
    if version is None:
        _METADATA.create_all(connection)
        connection.execute(insert(VERSION).values(version=STORE_SCHEMA))
    elif version == 0:
        _migrate_tables_0(connection, location)
        connection.execute(update(VERSION).values(version=STORE_SCHEMA))


def _migrate_tables_0(connection: Connection, location: str) -> None:
    """Version 0 had one table of bare bodies."""
    bodies = list(connection.scalars(text("SELECT body FROM vrmpy_records")))
    try:
        records = [Record.from_json(migrate(parse_json(body))) for body in bodies]
    except RecordFormatError as error:
        raise StoreError(
            f"The record store {location} has schema 0 and cannot be migrated: {error} "
            "It was left as it was."
        ) from error
    connection.execute(text("DROP TABLE vrmpy_records"))
    _METADATA.create_all(connection)
    rows = {record.id: record_row(record) for record in records}
    if rows:
        connection.execute(insert(RECORDS), list(rows.values()))
