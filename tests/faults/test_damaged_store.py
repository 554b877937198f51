"""FAULTS.md row 2: bit flips in a SQLite store cost the rows that they hit, and no others."""

from __future__ import annotations

import logging
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.records.samples import CONV, DENSE, V68, failure, imported, record
from vrmpy_tune.cli.application import run
from vrmpy_tune.errors import StoreError
from vrmpy_tune.measurement import QEMU_PACKETS
from vrmpy_tune.records import FinishedRun, Record, SqlStore, open_store

pytestmark = pytest.mark.fault

ROWS = 100
PAGE = 4096
ROWS_A_PAGE = 5
"""More than fit on a page of the test's store."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("damaged") / "sound.db"
    with SqlStore(f"sqlite:///{path}") as store:
        store.add_many(record(i, CONV if i % 4 else DENSE, total=1000 + i) for i in range(ROWS))
        store.add_failure(failure(ROWS))
        store.add_imported([imported(ROWS + 1)])
        store.finish_run(FinishedRun("0" * 64, None, {}))
    return path


def _flips(content: bytearray, seed: int) -> int:
    """Flip bits: of even seeds anywhere, of odd ones in text columns; return how many."""
    chance = random.Random(seed)
    number = (1, 2, 4, 8, 16)[seed % 5]
    if seed % 2:
        starts = [i for i in range(len(content)) if content.startswith(b'{"alignment_checked"', i)]
        places = [chance.choice(starts) + chance.randrange(600) for _ in range(number)]
    else:
        places = [chance.randrange(len(content)) for _ in range(number)]
    for place in places:
        content[place] ^= 1 << chance.randrange(8)
    return number


def _records(path: Path) -> dict[str, Record]:
    with open_store(path, readonly=True) as store:
        return {one.id: one for one in store.query()}


def test_fifteen_damaged_copies_lose_only_what_was_hit(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = _records(sound)
    lines = []
    for seed in range(15):
        content = bytearray(sound.read_bytes())
        flips = _flips(content, seed)
        path = tmp_path / f"{seed}.db"
        path.write_bytes(content)
        kept = _records(path)
        assert all(whole[name] == one for name, one in kept.items()), "a false row was read"
        lost = ROWS - len(kept)
        assert lost <= flips * (1 if seed % 2 else ROWS_A_PAGE)
        assert run(["records", "best", "--records", str(path)]) == 0
        assert (
            run(["records", "merge", str(path), "--records", str(tmp_path / f"new{seed}.db")]) == 0
        )
        assert _records(tmp_path / f"new{seed}.db") == kept
        assert path.read_bytes() == bytes(content), "the evidence must stay as it was"
        where = "texts" if seed % 2 else "anywhere"
        lines.append(f"row 2: seed {seed}, {flips} flips {where}: {len(kept)} kept, {lost} lost")
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    print("\n" + "\n".join(lines))


def test_a_text_that_is_no_utf_8_costs_its_row_and_is_told_once(
    sound: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(sound.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        worst = connection.execute("SELECT id FROM vrmpy_records ORDER BY value DESC").fetchone()[0]
        change = "UPDATE vrmpy_records SET body = CAST(x'7bff80' || body AS TEXT) WHERE id = ?"
        connection.execute(change, (worst,))
        connection.commit()
    with SqlStore(f"sqlite:///{path}") as store:
        assert len(store.query()) == len(store.query()) == ROWS - 1
        assert list(store.damage.rows) == [worst[:16]]
        assert store.add(record(5000))
    (told,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert f"Skipped 1 damaged row of the record store {path}" in told.getMessage()
    assert worst[:16] in told.getMessage()
    assert "records merge" in told.getMessage()


@pytest.mark.parametrize("page", ["first", "every interior"])
def test_pages_that_sqlite_needs_are_not_needed_to_read_the_rows(
    sound: Path, tmp_path: Path, page: str, caplog: pytest.LogCaptureFixture
) -> None:
    content = bytearray(sound.read_bytes())
    for start in range(0, len(content), PAGE):
        is_interior = content[start] in (2, 5) and start > 0
        if is_interior if page == "every interior" else start == 0:
            content[start : start + PAGE] = random.Random(start).randbytes(PAGE)
    path = tmp_path / "a.db"
    path.write_bytes(content)
    with pytest.raises(StoreError):
        SqlStore(f"sqlite:///{path}").add(record(5000))
    with open_store(path, readonly=True) as store:
        assert store.query() == sorted(_records(sound).values(), key=lambda one: one.sort_key)
        assert store.failures() == [failure(ROWS)]
        assert store.imported() == [imported(ROWS + 1)]
        assert store.finished_runs() == [FinishedRun("0" * 64, None, {})]
    assert f"page by page: {ROWS} records are sound" in caplog.text


def test_an_index_that_lies_about_the_order_is_not_believed(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(sound.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        worst, value = connection.execute(
            "SELECT id, value FROM vrmpy_records ORDER BY value DESC LIMIT 1"
        ).fetchone()
        workload = connection.execute(
            "SELECT workload FROM vrmpy_records WHERE id = ?", (worst,)
        ).fetchone()[0]
    # Entries of the index hold their columns one after the other: the worst gets the best figure.
    content = path.read_bytes()
    key = workload.encode() + V68.encode() + QEMU_PACKETS.encode()
    place = content.index(key + value.to_bytes(2, "big"))
    figure = place + len(key)
    path.write_bytes(content[:figure] + (1).to_bytes(2, "big") + content[figure + 2 :])
    with open_store(path, readonly=True) as store:
        best = store.best(workload, V68, QEMU_PACKETS)
        assert best is not None
        assert best.value == min(
            one.value for one in _records(sound).values() if one.workload == workload
        )


def test_a_truncated_store_can_be_read_up_to_its_end(sound: Path, tmp_path: Path) -> None:
    size = sound.stat().st_size
    path = tmp_path / "a.db"
    path.write_bytes(sound.read_bytes()[: size * 6 // 10 + 11])
    kept = _records(path)
    assert ROWS // 4 < len(kept) < ROWS
