from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.records.samples import CONV, DENSE, failure, imported, measurement, record
from vrmpy_tune.cli.records import app
from vrmpy_tune.errors import MissingRecordError, StoreError, VerificationError, VrmpyTuneError
from vrmpy_tune.records import ImportedTrace, Record, open_store


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with open_store(url) as store:
        store.add_many([record(i, total=1000 - i) for i in range(3)])
        store.add(record(7, CONV))
        store.add_failure(failure(9))
    return url


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def document(*arguments: object) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_ls_lists_best_first(url: str) -> None:
    listed = document("ls", "--records", url, "--workload", DENSE, "--limit", 2)
    assert [row["value"] for row in listed["records"]] == [998, 999]
    assert listed["total"] == 4
    assert len(run("ls", "--records", url).stdout.splitlines()) == 4


def test_best_shows_one_of_each_workload(url: str) -> None:
    found = document("best", "--records", url)["records"]
    assert [(row["workload"], row["value"]) for row in found] == [(CONV, 1000), (DENSE, 998)]


def test_show_prints_the_whole_record(url: str) -> None:
    shown = document("show", record(0).short_id, "--records", url)
    assert Record.from_json(shown) == record(0)
    assert "structural_hash" in run("show", record(0).short_id, "--records", url).stdout


def test_a_missing_record_and_a_missing_store_are_errors_with_sentences(url: str) -> None:
    assert isinstance(run("show", "abcdef", "--records", url).exception, MissingRecordError)
    assert isinstance(run("ls", "--records", "sqlite:///none.db").exception, StoreError)


def test_merge_prune_export_and_import_work_together(url: str, tmp_path: Path) -> None:
    merged = f"sqlite:///{tmp_path / 'b.db'}"
    assert document("merge", url, "--records", merged)["total"] == 4
    assert document("prune", "--keep", 1, "--records", merged) == {"removed": 2, "left": 2}
    lines = tmp_path / "all.jsonl"
    assert document("export", lines, "--records", url, "--failures")["written"] == 5
    report = document("import", lines, "--records", merged)
    assert report == {"added": 2, "unchanged": 2, "failures": 1, "bad_lines": 0}
    assert document("export", lines, "--best", "--records", url)["written"] == 2
    assert document("ls", "--records", lines)["total"] == 2


def test_an_import_of_bad_lines_keeps_the_good_and_exits_5(url: str, tmp_path: Path) -> None:
    lines = tmp_path / "all.jsonl"
    run("export", lines, "--records", url)
    lines.write_text(f"nonsense\n{lines.read_text()}")
    result = run("import", lines, "--records", f"sqlite:///{tmp_path / 'b.db'}", "--json")
    assert result.exit_code == 5
    assert json.loads(result.stdout)["added"] == 4
    assert f"{lines}:1: " in result.stderr


def test_verify_reports_each_record_measures_imports_and_exits_10(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure_imported(trace: ImportedTrace, device: str) -> Record:
        if trace.id == imported(40).id:
            raise VerificationError("The output differs.")
        return Record.from_measurement(
            measurement(total=5),
            space=trace.identity.space,
            trace=trace.identity.trace,
            seed=None,
            generator="packets",
            toolchain={},
            structural_hash="",
        )

    fake = ModuleType("vrmpy_tune.reverify")
    fake.reverify = lambda kept, device: (kept.value != 999, device)  # type: ignore[attr-defined]
    fake.measure_imported = measure_imported  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vrmpy_tune.reverify", fake)
    with open_store(url) as store:
        store.add_imported([imported(40), imported(41)])
    result = run("verify", "--records", url, "--json")
    assert result.exit_code == 10
    rows = json.loads(result.stdout)["records"]
    assert sum(row["verified"] for row in rows) == 4
    assert len(rows) == 6
    with open_store(url) as store:
        assert store.get(imported(41).id) is not None
        assert store.imported() == [imported(40)]
    assert run("verify", record(0).short_id, "--records", url).exit_code == 0


def test_a_tvm_directory_needs_to_be_told_what_it_holds(url: str, tmp_path: Path) -> None:
    result = run("import", tmp_path, "--records", url)
    assert isinstance(result.exception, VrmpyTuneError)
    assert "--metric" in str(result.exception)
