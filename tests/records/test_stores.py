from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.contract.store_contract import ReaderContract, ReaderOf, StoreContract
from tests.postgres import PostgresServer
from tests.records.samples import record
from vrmpy_tune.records import (
    Failure,
    JsonLinesStore,
    Record,
    RecordReader,
    SqlStore,
    Store,
    StoreView,
    export_json_lines,
)


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def new_store(self, tmp_path: Path) -> Iterator[Callable[[], Store]]:
        stores: list[SqlStore] = []

        def new() -> Store:
            stores.append(SqlStore(f"sqlite:///{tmp_path / f'{len(stores)}.db'}"))
            return stores[-1]

        yield new
        for store in stores:
            store.close()


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def new_store(self, postgres: PostgresServer) -> Iterator[Callable[[], Store]]:
        stores: list[SqlStore] = []

        def new() -> Store:
            # Each store in a schema of its own, for tests that need several.
            stores.append(SqlStore(postgres.new_schema(f"contract_{len(stores)}")))
            return stores[-1]

        yield new
        for store in stores:
            store.close()


class TestJsonLinesStore(ReaderContract):
    @pytest.fixture
    def reader_of(self, tmp_path: Path) -> ReaderOf:
        def write(records: Iterable[Record], failures: Iterable[Failure]) -> RecordReader:
            path = tmp_path / "v68" / "suite.jsonl"
            export_json_lines(records, path, failures)
            return JsonLinesStore(tmp_path)

        return write


class TestStoreViewOfTwo(ReaderContract):
    """Records alternate between a database and a directory of JSON Lines."""

    @pytest.fixture
    def reader_of(self, tmp_path: Path) -> Iterator[ReaderOf]:
        store = SqlStore(f"sqlite:///{tmp_path / 'a.db'}")

        def split(records: Iterable[Record], failures: Iterable[Failure]) -> RecordReader:
            records = list(records)
            store.add_many(records[::2])
            for failed in failures:
                store.add_failure(failed)
            export_json_lines(records[1::2], tmp_path / "b.jsonl")
            return StoreView([store, JsonLinesStore(tmp_path / "b.jsonl")])

        yield split
        store.close()


def test_records_written_before_a_fork_and_by_the_child_are_all_there(tmp_path: Path) -> None:
    with SqlStore(f"sqlite:///{tmp_path / 'a.db'}") as store:
        store.add(record(1))
        child = os.fork()
        if child == 0:
            status = 1
            try:
                store.add(record(2))
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        store.add(record(3))
        assert store.count() == 3
