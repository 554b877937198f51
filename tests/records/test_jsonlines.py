from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.records.samples import CONV, failure, record
from vrmpy_tune.errors import StoreError
from vrmpy_tune.records import (
    JsonLinesStore,
    SqlStore,
    default_url,
    export_json_lines,
    import_json_lines,
    open_store,
    open_stores,
)
from vrmpy_tune.records.safe_json import MAX_LINE_BYTES


def test_an_export_is_the_same_whatever_the_order_of_the_records(tmp_path: Path) -> None:
    records = [record(i, total=1000 - i) for i in range(20)] + [record(1, CONV)]
    assert export_json_lines(records, tmp_path / "a.jsonl", [failure(99)]) == 22
    export_json_lines(records[::-1], tmp_path / "b.jsonl", [failure(99)])
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert next(iter(json.loads(lines[0]))) == "workload"
    assert all(list(json.loads(line))[-1] == "trace" for line in lines)


def test_export_then_import_is_lossless(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with SqlStore(f"sqlite:///{tmp_path / 'a.db'}") as store:
        store.add_many([record(i) for i in range(1200)])
        store.add_failure(failure(5000))
        export_json_lines(store.query(), path, store.failures())
        with SqlStore(f"sqlite:///{tmp_path / 'b.db'}") as other:
            report = import_json_lines(other, path)
            assert (report.added, report.unchanged, report.failures) == (1200, 0, 1)
            assert import_json_lines(other, path).unchanged == 1200
            assert other.query() == store.query()
            assert other.failures() == store.failures()


def test_an_export_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    export_json_lines([record(1)], path)
    before = path.read_bytes()

    def broken() -> object:
        yield record(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_json_lines(broken(), path)  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]
    with pytest.raises(StoreError, match="cannot be written"):
        export_json_lines([record(1)], path / "below a file.jsonl")


def test_line_numbers_count_over_a_line_that_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    export_json_lines([record(1)], path)
    with path.open("ab") as stream:
        stream.write(b"[" * (3 * MAX_LINE_BYTES) + b"\n\nnonsense")
    store = JsonLinesStore(path)
    assert store.count() == 1
    assert [problem.line for problem in store.problems] == [2, 4]


def test_a_store_opens_by_url_path_and_directory(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'new' / 'a.db'}") as store:
        store.add(record(1))
    (tmp_path / "shipped" / "v68").mkdir(parents=True)
    export_json_lines([record(2)], tmp_path / "shipped" / "v68" / "suite.jsonl")
    with open_stores([tmp_path / "new" / "a.db", tmp_path / "shipped"]) as view:
        assert view.count() == 2


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("sqlite:///no/such/dir/a.db", "There is no record store at no/such/dir/a.db"),
        ("nonsense://x", "nonsense"),
        ("sqlite://", "is a file"),
        ("tuning", "is no record store"),
        ("postgresql+psycopg://u:secret@127.0.0.1:1/x", "psycopg|cannot be reached"),
    ],
)
def test_a_place_that_is_no_store_is_explained(where: str, says: str) -> None:
    with pytest.raises(StoreError, match=says) as caught:
        open_store(where, readonly=True)
    assert "secret" not in str(caught.value)


def test_json_lines_are_not_opened_for_writing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="records import"):
        open_store(tmp_path)


def test_the_default_store_is_in_the_users_data_directory() -> None:
    assert default_url().startswith("sqlite:///")
    assert default_url().endswith("vrmpy-tune/records.db")
