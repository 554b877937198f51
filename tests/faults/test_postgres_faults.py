"""FAULTS.md row 2 on PostgreSQL: the server is gone, silent, read-only, or somebody locks it."""

from __future__ import annotations

import multiprocessing
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.postgres import PostgresServer
from tests.records.samples import record
from vrmpy_tune.errors import StoreError
from vrmpy_tune.records import SqlStore, open_store

pytestmark = pytest.mark.fault

SECONDS = 5.0


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory(prefix="vrmpy-pg-", dir="/tmp") as name:
        server = PostgresServer(Path(name))
        yield server
        server.stop()


def test_a_server_that_crashes_is_named_and_what_was_stored_stays(
    own_server: PostgresServer,
) -> None:
    url = own_server.url.replace("postgres@", "postgres:secret@")
    with open_store(url) as store:
        store.add_many(record(number) for number in range(20))
        own_server.stop()
        began = time.monotonic()
        with pytest.raises(StoreError, match=f"127.0.0.1:{own_server.port}") as caught:
            store.add(record(20))
        seconds = time.monotonic() - began
        assert seconds < SECONDS
        assert "secret" not in str(caught.value)
        own_server.start()
        assert store.count() == 20
        store.add(record(20))
        assert store.count() == 21
    print(f"\nrow 2: crashed server reported in {seconds:.2f} s")


def test_an_address_that_never_answers_is_given_up_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(StoreError, match="cannot be reached"):
            open_store(f"postgresql+psycopg://nobody@127.0.0.1:{silent.getsockname()[1]}/x")
        seconds = time.monotonic() - began
    assert seconds < SECONDS
    print(f"\nrow 2: silent server reported in {seconds:.2f} s")


def test_a_lock_held_elsewhere_and_a_read_only_server_are_reported_in_time(
    postgres: PostgresServer,
) -> None:
    url = postgres.new_schema("locked")
    engine = create_engine(url)
    with SqlStore(url) as store, engine.begin() as other:
        store.add(record(1))
        other.execute(text("LOCK TABLE vrmpy_records IN ACCESS EXCLUSIVE MODE"))
        began = time.monotonic()
        with pytest.raises(StoreError, match="locked by another process"):
            store.add(record(2))
        seconds = time.monotonic() - began
    assert seconds < SECONDS
    engine.dispose()
    with (
        SqlStore(f"{url}%20-cdefault_transaction_read_only%3Don") as store,
        pytest.raises(StoreError, match="cannot be opened for writing"),
    ):
        store.add(record(3))
    with SqlStore(url) as store:
        assert store.query() == [record(1)]
    print(f"\nrow 2: lock reported in {seconds:.2f} s")


def _open(url: str) -> None:
    SqlStore(url).close()


def test_four_first_users_at_once_create_one_store(postgres: PostgresServer) -> None:
    url = postgres.new_schema("created")
    context = multiprocessing.get_context("spawn")
    users = [context.Process(target=_open, args=(url,)) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join(60)
    assert [user.exitcode for user in users] == [0] * 4
    with SqlStore(url) as store:
        assert store.count() == 0
