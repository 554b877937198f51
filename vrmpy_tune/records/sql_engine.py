"""Connections to the database of a record store: settings, transactions, forks and deadlines."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from vrmpy_tune.errors import StoreError
from vrmpy_tune.records.sql_errors import readable_errors, store_error
from vrmpy_tune.records.sql_server import BUSY_SECONDS, PostgresServer
from vrmpy_tune.records.sqlite_pages import page_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine.interfaces import DBAPICursor

_ASK_SECONDS: Final = (0.001, 0.008)
"""Between two questions whether the lock is free."""

_WRITES: Final = "vrmpy_tune_writes"


class Database:
    """Transactions on one database; safe to share between threads, and after a fork.

    Parameters
    ----------
    url:
        SQLAlchemy URL of a SQLite file or a PostgreSQL database.
    readonly:
        Never write, not even to create the file.

    Attributes
    ----------
    location:
        Path of the file, or URL of the server without its password.
    path:
        The file, if it is a SQLite database.

    Raises
    ------
    StoreError
        If the URL is none, or its driver is not installed.
    """

    def __init__(self, url: str, *, readonly: bool) -> None:
        self.readonly = readonly
        try:
            parsed = make_url(url)
        except SQLAlchemyError as error:
            raise StoreError(
                f"'{url}' is no URL of a record store. Write sqlite:///tuning.db, for example."
            ) from error
        is_sqlite = parsed.get_backend_name() == "sqlite"
        # Rendered without the password: this is printed.
        self.location = (parsed.database if is_sqlite else None) or parsed.render_as_string()
        self.path = Path(parsed.database) if is_sqlite and parsed.database else None
        self._server: PostgresServer | None = None
        try:
            if is_sqlite:
                self._engine = _sqlite_engine(self.path or Path(), readonly)
            else:
                self._server = PostgresServer(parsed)
                self._engine = self._server.engine
        except ModuleNotFoundError as error:
            raise StoreError(
                f"The record store {self.location} needs the module {error.name}. "
                "For PostgreSQL: pip install 'psycopg[binary]'."
            ) from error
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(
                f"The record store {self.location} cannot be opened: {error}."
            ) from error
        self._writing = threading.Lock()
        self._process = os.getpid()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view of the database."""
        with readable_errors(self.location), self._transaction(self._own_engine()) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One durable transaction: committed at the end, rolled back by an exception."""
        if self.readonly:
            raise StoreError(
                f"The record store {self.location} was opened for reading only. "
                "Name a store that can be written with --records."
            )
        # Threads of one process queue here, which is fair; SQLite's own waiting is not.
        with self._writing, readable_errors(self.location):
            engine = self._own_engine().execution_options(**{_WRITES: True})
            with self._transaction(engine) as connection:
                yield connection

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        if self._server is None:
            with engine.begin() as connection:
                yield connection
        else:
            with self._server.transaction(engine) as connection:
                yield connection

    def use_write_ahead_log(self) -> None:
        """Let readers and a writer work side by side; once in the life of a SQLite file."""
        if self._engine.dialect.name == "sqlite":
            with readable_errors(self.location), closing(self._engine.raw_connection()) as raw:
                _use_write_ahead_log(raw.cursor())

    def check_integrity(self) -> None:
        """Compare a SQLite file's indices with its tables, which takes as long as reading it.

        Raises
        ------
        DamagedStoreError
            If they contradict each other.
        """
        if self._engine.dialect.name == "sqlite":
            with self.reading() as connection:
                found = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar())
            if found != "ok":
                raise store_error(self.location, sqlite3.DatabaseError(f"malformed: {found}"))

    def close(self) -> None:
        """Close every connection."""
        with readable_errors(self.location):
            self._own_engine().dispose()
        if self._server is not None:
            self._server.watch.close()

    def _own_engine(self) -> Engine:
        if self._process != os.getpid():
            # SQLite's locks and PostgreSQL's sockets must not be used across a fork: leave the
            # parent's connections alone, and open new ones.
            self._engine.dispose(close=False)
            if self._server is not None:
                self._server.forked()
            self._writing = threading.Lock()
            self._process = os.getpid()
        return self._engine


def _sqlite_engine(path: Path, readonly: bool) -> Engine:
    if path == Path():
        raise StoreError(
            "A SQLite store is a file: write sqlite:///relative or sqlite:////absolute."
        )
    if readonly and not path.is_file():
        raise StoreError(f"There is no record store at {path}. Check the path given to --records.")
    if not readonly:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_length(path)

    def connect() -> sqlite3.Connection:
        # isolation_level None: this module begins transactions, not the driver.
        connection = sqlite3.connect(
            _sqlite_uri(path, readonly),
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        # A text that is no UTF-8 any more must cost its own row only, which its checksum does.
        connection.text_factory = _lenient_text
        return connection

    engine = create_engine(f"sqlite:///{path}", creator=connect)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not connection.get_execution_options().get(_WRITES):
            connection.exec_driver_sql("BEGIN")
            return
        # A transaction that reads first and writes later can fail at once with "locked";
        # one that takes the write lock first waits for its turn.
        _take_write_lock(connection)

    return engine


def _lenient_text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _take_write_lock(connection: Connection) -> None:
    """Begin a transaction that may write, when the others are done with theirs.

    SQLite's own wait asks ever less often, so that one of many writers may wait for ever while
    newcomers get their turn; here all ask equally often.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            except OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(random.uniform(*_ASK_SECONDS))
            else:
                return
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")


def _sqlite_uri(path: Path, readonly: bool) -> str:
    base = path.absolute().as_uri()
    if not readonly:
        return f"{base}?mode=rwc"
    log = path.with_name(f"{path.name}-wal")
    if not os.access(path.parent, os.W_OK) and not log.exists():
        # Readers of a write-ahead log share a file beside it.  Where that cannot be made, and
        # there is no log, nobody can be writing.
        return f"{base}?immutable=1"
    return f"{base}?mode=ro"


def check_length(path: Path) -> None:
    """Refuse a file that ends within a page, which SQLite would fill up with zeros.

    While there is a write-ahead log, the missing part may still be in it.

    Raises
    ------
    DamagedStoreError
        If the file does.
    """
    log = path.with_name(f"{path.name}-wal")
    if not path.is_file() or log.exists():
        return
    with path.open("rb") as stream:
        is_database = stream.read(16) == b"SQLite format 3\0"
    if is_database and path.stat().st_size % page_size(path):
        error = sqlite3.DatabaseError("malformed: the file ends within a page")
        raise store_error(str(path), error)


def _use_write_ahead_log(cursor: DBAPICursor) -> None:
    """Switch to the write-ahead log.

    SQLite does not wait for this lock by itself, so that two processes that create a store at the
    same moment would fail without the loop.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while _journal_mode(cursor) != "wal":
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _journal_mode(cursor: DBAPICursor) -> str:
    cursor.execute("PRAGMA journal_mode")
    row = cursor.fetchone()
    return str(row[0]) if row else ""
