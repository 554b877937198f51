"""Where records are kept: URLs, paths, and the default."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, overload

from vrmpy_tune.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vrmpy_tune.records.store import RecordReader, Store
    from vrmpy_tune.records.view import StoreView

_DATABASE_SUFFIXES: Final = (".db", ".sqlite", ".sqlite3")


def default_url() -> str:
    """Return the URL of the user's own store, in the platform's place for application data."""
    return f"sqlite:///{_own_directory() / 'records.db'}"


def unstored_file() -> Path:
    """Return a file of this process's own for what cannot be stored; it is not made."""
    moment = time.strftime("%Y%m%d-%H%M%S")
    return _own_directory() / f"unstored-{moment}-{os.getpid()}.jsonl"


def _own_directory() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("vrmpy-tune"))


@overload
def open_store(where: str | Path, readonly: Literal[False] = False) -> Store: ...


@overload
def open_store(where: str | Path, readonly: Literal[True]) -> RecordReader: ...


def open_store(where: str | Path, readonly: bool = False) -> RecordReader:
    """Open a record store.

    Parameters
    ----------
    where:
        ``sqlite:///path``, ``postgresql+psycopg://user@host/database``, or the path of a ``.db``
        file, made on first use.  For reading only also a ``.jsonl`` file, or a directory of
        ``<arch>/<suite>.jsonl``.
    readonly:
        Only read; the store must exist.

    Raises
    ------
    StoreError
        If there is no such store, or it cannot be opened as asked.
    RecordFormatError
        If a newer version of this project wrote it, or a file holds no records.
    """
    text = str(where)
    if "://" in text:
        return _open_database(text, readonly)
    path = Path(where).expanduser()
    if path.suffix in _DATABASE_SUFFIXES and not path.is_dir():
        return _open_database(f"sqlite:///{path}", readonly)
    if path.suffix != ".jsonl" and not path.is_dir():
        raise StoreError(
            f"{path} is no record store: name a .db file, a .jsonl file, a directory of .jsonl "
            "files, or a URL such as sqlite:///tuning.db."
        )
    if not readonly:
        raise StoreError(
            f"{path} holds JSON Lines, which are only read. Import them into a database: "
            f"vrmpy-tune records import {path} --records tuning.db"
        )
    from vrmpy_tune.records.jsonlines_store import JsonLinesStore

    return JsonLinesStore(path)


def record_files(where: str | Path) -> list[Path] | None:
    """Return the JSON Lines files that a store consists of, or ``None`` if it is a database."""
    text = str(where)
    path = Path(where).expanduser()
    if "://" in text or (path.suffix in _DATABASE_SUFFIXES and not path.is_dir()):
        return None
    from vrmpy_tune.records.jsonlines_store import files_of

    return files_of(path)


def open_stores(where: Iterable[str | Path]) -> StoreView:
    """Open several stores for reading, as one; earlier ones take precedence.

    Raises
    ------
    StoreError, RecordFormatError
        As :func:`open_store`; then none stays open.
    """
    from vrmpy_tune.records.view import StoreView

    stores: list[RecordReader] = []
    try:
        for one in where:
            stores.append(open_store(one, readonly=True))
    except BaseException:
        StoreView(stores).close()
        raise
    return StoreView(stores)


def _open_database(url: str, readonly: bool) -> Store:
    from vrmpy_tune.records.sql_store import SqlStore

    return SqlStore(url, readonly=readonly)
