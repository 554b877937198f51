"""Creating the store's tables, and bringing those of past versions to the present one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, insert, inspect, select, text, update

from vrmpy_tune.errors import RecordFormatError, StoreError
from vrmpy_tune.records.migration import migrate
from vrmpy_tune.records.record import Record
from vrmpy_tune.records.safe_json import parse_json
from vrmpy_tune.records.same_toolchain import toolchain_key
from vrmpy_tune.records.sql_rows import checksum, old_checksum, record_row
from vrmpy_tune.records.sql_schema import (
    FAILURES,
    FINISHED,
    IMPORTED,
    METADATA,
    RANKING,
    RECORDS,
    STORE_SCHEMA,
    VERSION,
    stored_version,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from vrmpy_tune.records.sql_rows import Row

_BATCH: Final = 500
"""Rows that are in memory at once."""


def bring_up_to_date(connection: Connection, location: str) -> None:
    """Create the tables, or migrate those of a past version, inside the caller's transaction.

    Raises
    ------
    StoreError
        If the store cannot be migrated; it is then as it was.
    RecordFormatError
        If a newer version of this project wrote it.
    """
    if connection.dialect.name == "postgresql":
        # Two first users at once would both create the tables; the number is ours alone.
        connection.execute(text("SELECT pg_advisory_xact_lock(7682775)"))
    version = stored_version(connection, location)
    if version is None:
        METADATA.create_all(connection)
        connection.execute(insert(VERSION).values(version=STORE_SCHEMA))
        return
    if version == 0:
        _migrate_tables_0(connection, location)
    elif version == 1:
        _migrate_tables_1(connection)
    if version < STORE_SCHEMA:
        connection.execute(update(VERSION).values(version=STORE_SCHEMA))


def _migrate_tables_0(connection: Connection, location: str) -> None:
    """Make today's tables of version 0, which had one table of bare bodies."""
    bodies = list(connection.scalars(text("SELECT body FROM vrmpy_records")))
    try:
        records = [Record.from_json(migrate(parse_json(body))) for body in bodies]
    except RecordFormatError as error:
        raise StoreError(
            f"The record store {location} has schema 0 and cannot be migrated: {error} "
            "It was left as it was."
        ) from error
    connection.execute(text("DROP TABLE vrmpy_records"))
    METADATA.create_all(connection)
    rows = {record.id: record_row(record) for record in records}
    if rows:
        connection.execute(insert(RECORDS), list(rows.values()))


def _migrate_tables_1(connection: Connection) -> None:
    """Make today's tables of version 1: two columns less, and checksums of the bodies alone.

    A row whose body is damaged stays as it is, with a checksum that does not fit, so that it is
    skipped and named whenever it is met.
    """
    names = {column["name"] for column in inspect(connection).get_columns(RECORDS.name)}
    for column, default in (("packets_total BIGINT", "0"), ("toolchain TEXT", "''")):
        if column.split()[0] not in names:
            collated = ' COLLATE "C"' if _is_postgresql(connection) and "TEXT" in column else ""
            connection.execute(
                text(
                    f"ALTER TABLE {RECORDS.name} ADD COLUMN {column}{collated} "
                    f"NOT NULL DEFAULT {default}"
                )
            )
    connection.execute(text(f"DROP INDEX IF EXISTS {RANKING.name}"))
    for table in (RECORDS, FAILURES, IMPORTED, FINISHED):
        _seal(connection, table)
    RANKING.create(connection)


def _seal(connection: Connection, table: Table) -> None:
    """Fill the new columns of all sound rows of a table, and their checksums."""
    ids = list(connection.scalars(select(table.c.id).order_by(table.c.id)))
    change = update(table).where(table.c.id == bindparam("key"))
    names = ("packets_total", "toolchain") if table is RECORDS else ()
    change = change.values({name: bindparam(f"new_{name}") for name in (*names, "checksum")})
    for start in range(0, len(ids), _BATCH):
        chosen = select(table).where(table.c.id.in_(ids[start : start + _BATCH]))
        rows = [dict(row) for row in connection.execute(chosen).mappings()]
        sound = [row for row in rows if old_checksum(row["body"]) == row["checksum"]]
        changes = [
            {f"new_{name}": row[name] for name in (*names, "checksum")} | {"key": row["id"]}
            for row in map(_sealed, sound)
        ]
        if changes:
            connection.execute(change, changes)


def _sealed(row: Row) -> Row:
    """Return a row of version 1 with the columns of version 2.

    The columns that version 1 did not check are believed as they are: reading compares them with
    the body.
    """
    if "packets_total" in row:
        value = parse_json(str(row["body"]))
        fields = value if isinstance(value, dict) else {}
        total, toolchain = fields.get("packets_total"), fields.get("toolchain")
        row |= {
            "packets_total": total if isinstance(total, int) else 0,
            "toolchain": toolchain_key(
                {name: str(one) for name, one in toolchain.items()}
                if isinstance(toolchain, dict)
                else {}
            ),
        }
    return row | {"checksum": checksum(row)}


def _is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"
