"""Connections to a PostgreSQL server, which may restart, crash or freeze at any moment."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError

from vrmpy_tune.records.sql_watch import SilenceWatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.engine.interfaces import ExceptionContext

    from vrmpy_tune.records.sql_watch import Driven

BUSY_SECONDS: Final = 4.0
"""How long to wait for another process's transaction; FAULTS.md row 2 allows 5 s in all."""

_CONNECT_S: Final = 3
"""How long to wait for a server to answer a new connection."""


class PostgresServer:
    """A server, with a pool of connections of which each statement is watched.

    Parameters
    ----------
    url:
        Of the database.

    Attributes
    ----------
    engine:
        Its pool; transactions are begun by :meth:`transaction`.
    watch:
        Cuts connections off when the server has frozen.
    """

    def __init__(self, url: URL) -> None:
        # A server that is gone without a word is given up as soon as a locked one.
        options = {"connect_timeout": _CONNECT_S, "tcp_user_timeout": int(1000 * BUSY_SECONDS)}
        self.engine = create_engine(url, connect_args=options)
        self._arguments = self.engine.dialect.create_connect_args(url)
        self._arguments[1].update(options)
        self.watch = SilenceWatch(self._is_alive)

        @event.listens_for(self.engine, "connect")
        def _configure(connection: Any, _record: object) -> None:
            with self.watch.over(connection), connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = '{int(BUSY_SECONDS)}s'")
                connection.commit()

        @event.listens_for(self.engine, "before_cursor_execute")
        def _begin(connection: Connection, *_: object) -> None:
            self.watch.begin(_driven(connection))

        @event.listens_for(self.engine, "after_cursor_execute")
        def _end(connection: Connection, *_: object) -> None:
            self.watch.end(_driven(connection))

        @event.listens_for(self.engine, "handle_error")
        def _fail(context: ExceptionContext) -> None:
            if context.connection is not None and not context.connection.invalidated:
                self.watch.end(_driven(context.connection))

    @contextmanager
    def transaction(self, engine: Engine) -> Iterator[Connection]:
        """One transaction; its end is watched as its statements are.

        Parameters
        ----------
        engine:
            :attr:`engine`, perhaps with options.
        """
        with engine.connect() as connection:
            transaction = connection.begin()
            try:
                connection.exec_driver_sql("SELECT 1")
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                # The pool's connection is from before a restart; all of them are dropped now.
                transaction.rollback()
                transaction = connection.begin()
            try:
                yield connection
            except BaseException:
                if not connection.invalidated:
                    with self.watch.over(_driven(connection)):
                        transaction.rollback()
                raise
            with self.watch.over(_driven(connection)):
                transaction.commit()

    def forked(self) -> None:
        """Watch anew in a child process, which has none of its parent's threads."""
        self.watch = SilenceWatch(self._is_alive)

    def _is_alive(self) -> bool:
        """Whether the server answers a new connection, if only to refuse it."""
        try:
            self.engine.dialect.connect(*self._arguments[0], **self._arguments[1]).close()
        except Exception as error:
            return "timeout" not in str(error)
        return True


def _driven(connection: Connection) -> Driven:
    return cast("Driven", connection.connection.dbapi_connection)
