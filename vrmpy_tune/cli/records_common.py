"""What the commands of ``vrmpy-tune records`` share: options, and how stores are opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from vrmpy_tune.errors import MissingRecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.records import Record, RecordReader, Store, StoreView

_STORE_HELP: Final = (
    "Record store: sqlite:///path, a .db file, or postgresql+psycopg://user@host/db."
)
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Where: TypeAlias = Annotated[str | None, typer.Option("--records", metavar="URL", help=_STORE_HELP)]
Sources: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--records", metavar="URL", help=f"{_STORE_HELP} Also .jsonl; may be repeated."),
]
Workload: TypeAlias = Annotated[
    str | None, typer.Option(help="Only of this workload (canonical text).")
]
Target: TypeAlias = Annotated[str | None, typer.Option(help="Only of this target.")]
Metric: TypeAlias = Annotated[str | None, typer.Option(help="Only of this metric.")]


def get_record(stores: RecordReader, record_id: str) -> Record:
    """Return the record with this id.

    Raises
    ------
    MissingRecordError
        If there is none.
    """
    record = stores.get(record_id)
    if record is None:
        raise MissingRecordError(
            f"No record {record_id} in {stores.location}. List them: vrmpy-tune records ls"
        )
    return record


def open_own(where: str | None) -> Store:
    """Open the store of a URL, to write; without one, the user's own."""
    from vrmpy_tune.records import default_url, open_store

    return open_store(where or default_url())


def open_for_reading(where: Sequence[str] | None) -> StoreView:
    """Open the stores of these URLs, to read; without any, the user's own."""
    from vrmpy_tune.records import default_url, open_stores

    return open_stores(where or [default_url()])
