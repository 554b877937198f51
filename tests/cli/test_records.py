from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.records.samples import CONV, DENSE, failure, imported, measurement, record
from vrmpy_tune.cli.records import app
from vrmpy_tune.errors import MissingRecordError, StoreError, VerificationError, VrmpyTuneError
from vrmpy_tune.records import ImportedTrace, Record, open_store, open_stores
from vrmpy_tune.records.record import FixedRule
from vrmpy_tune.reverify import Finding, Verdict


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


class FakeReverifier:
    """Finds that a record of 999 packets has another figure, and one of 998 fails."""

    toolchain = {"packets": "today"}  # noqa: RUF012

    def __init__(self, device: str) -> None:
        self.device = device

    def __enter__(self) -> FakeReverifier:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def findings(
        self, records: Sequence[Record], *, fixed_rules: bool = False
    ) -> Iterator[Finding]:
        for kept in records:
            rule = FixedRule(2000, 600) if fixed_rules else None
            made = replace(kept, toolchain=self.toolchain, fixed_rule=rule)
            if kept.value == 998:
                yield Finding(kept, Verdict.FAILS, "The output differs.")
            elif kept.value == 999:
                made = replace(made, counts=replace(made.counts, packets_total=5))
                yield Finding(kept, Verdict.OTHER_FIGURE, "5 instead of 999.", made)
            else:
                yield Finding(kept, Verdict.HOLDS, "As stored.", made)

    def measure(self, trace: ImportedTrace) -> Record:
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


@pytest.fixture
def _fake_reverifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vrmpy_tune.reverify.Reverifier", FakeReverifier)


@pytest.mark.usefixtures("_fake_reverifier")
def test_verify_reports_each_record_measures_imports_and_exits_10(url: str) -> None:
    with open_store(url) as store:
        store.add_imported([imported(40), imported(41)])
    result = run("verify", "--records", url, "--json")
    assert result.exit_code == 10
    told = json.loads(result.stdout)
    assert told["failed"] == 3
    assert told["verdicts"] == {"holds": 3, "other figure": 1, "fails": 2}
    assert told["generators"] == {"packets": 4}
    assert [row["measured"] for row in told["records"] if row["verdict"] == "other figure"] == [5]
    with open_store(url) as store:
        assert store.get(imported(41).id) is not None
        assert store.imported() == [imported(40)]
        assert store.get(record(0).id) == record(0)
    shown = run("verify", "--records", url).stdout
    assert f"{record(1).short_id} OTHER FIGURE: 5 instead of 999." in shown
    assert "3 of 6 hold, 1 with another figure, 2 failed." in shown
    assert run("verify", record(0).short_id, "--records", url).exit_code == 0


@pytest.mark.usefixtures("_fake_reverifier")
def test_restamp_stores_what_is_right_and_passes_over_what_is_stamped(
    url: str, tmp_path: Path
) -> None:
    lines = tmp_path / "records"
    (lines / "v68").mkdir(parents=True)
    run("export", lines / "v68" / "suite.jsonl", "--records", url)
    result = run("verify", "--restamp", "--records", lines, "--json")
    assert result.exit_code == 10
    told = json.loads(result.stdout)
    assert (told["failed"], told["stamped"], told["passed_over"]) == (1, 3, 0)
    with open_stores([lines]) as reader:
        after = {one.id: one for one in reader.query()}
    assert after[record(2).id] == record(2, total=998)
    assert after[record(1).id].value == 5
    assert after[record(1).id].fixed_rule == FixedRule(2000, 600)
    result = run("verify", "--restamp", "--records", lines)
    assert "0 of 1 hold, 1 failed." in result.stdout
    assert "0 stored as they are today; 3 were so already." in result.stdout


def test_a_tvm_directory_needs_to_be_told_what_it_holds(url: str, tmp_path: Path) -> None:
    result = run("import", tmp_path, "--records", url)
    assert isinstance(result.exception, VrmpyTuneError)
    assert "--metric" in str(result.exception)
