"""``vrmpy-tune bench`` and ``records plot``: what they pass on, print and write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.cli.fakes import DENSE, Report, fake_tune
from tests.records.samples import record
from tests.report.rows import document
from vrmpy_tune.bench.row import OWN_SYSTEMS, TUNED
from vrmpy_tune.records import open_store
from vrmpy_tune.records.shipped import shipped_records

Replace = Callable[..., None]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replace the measuring; return what it was called with."""
    options: dict[str, Any] = {}

    def bench(what: object, **given: Any) -> Report:
        print("noise that a library prints")
        options.update(given, what=what)
        return Report(document() | options.pop("document", {}))

    for name in ("bench_suite", "bench_random"):
        monkeypatch.setattr(f"vrmpy_tune.bench.{name}", bench)
    return options


def test_one_document_is_printed_and_files_are_written(
    command: Command, asked: dict[str, Any], tmp_path: Path
) -> None:
    csv, plot = tmp_path / "rows.csv", tmp_path / "rows.svg"
    ended = command("bench", "--suite", "peers", "--json", "--csv", csv, "--plot", plot)
    assert ended.code == 0
    assert ended.document == document()
    assert len(csv.read_text().splitlines()) == 1 + len(document()["rows"])
    assert "<svg" in plot.read_text()
    assert asked["what"].name == "peers"
    assert "peers: u8u8-i32" in command("bench", "--suite", "peers").stdout


@pytest.mark.parametrize(
    ("flags", "systems", "find_out"),
    [
        ((), OWN_SYSTEMS, False),
        (("--untuned",), OWN_SYSTEMS, True),
        (("--no-untuned",), (TUNED,), False),
    ],
)
def test_untuned_decides_which_systems_are_measured(
    command: Command,
    asked: dict[str, Any],
    flags: tuple[str, ...],
    systems: tuple[str, ...],
    find_out: bool,
) -> None:
    variant = ("--variant", "u8u8-i32", "--variant", "i8i8-i32")
    command("bench", "--suite", "peers", *variant, "--records", "a.db", *flags)
    assert (asked["systems"], asked["find_out"]) == (systems, find_out)
    assert asked["variants"] == ("u8u8-i32", "i8i8-i32")
    assert asked["records"] == ["a.db", str(shipped_records())]


def test_the_records_that_ship_count_besides_those_named_unless_they_are_left_out(
    command: Command, asked: dict[str, Any]
) -> None:
    ended = command("bench", "--suite", "peers", "--records", "a.db")
    assert "--no-shipped leaves them out" in ended.stderr
    ended = command("bench", "--suite", "peers", "--records", "a.db", "--no-shipped")
    assert asked["records"] == ["a.db"]
    assert "--no-shipped" not in ended.stderr


def test_the_critical_path_is_measured_but_for_peers_unless_another_metric_is_asked_for(
    command: Command, asked: dict[str, Any]
) -> None:
    for arguments, metric in (
        (("--random", "3"), "qemu-critical/1"),
        (("--suite", "operators"), "qemu-critical/1"),
        (("--suite", "peers"), "qemu-packets/1"),
        (("--suite", "peers", "--metric", "qemu-critical/1"), "qemu-critical/1"),
    ):
        assert command("bench", *arguments).code == 0
        assert asked["metric"] == metric


def test_workloads_may_be_named_instead_of_a_suite_and_not_besides(
    command: Command, asked: dict[str, Any]
) -> None:
    assert command("bench", DENSE, "--no-shipped").code == 0
    assert (asked["what"], [str(one) for one in asked["workloads"]]) == (0, [DENSE])
    assert asked["shipped"] is False
    assert command("bench", DENSE, "--suite", "peers").code == 2
    assert command("bench").code == 2


def test_random_workloads_have_a_number_a_seed_and_a_budget(
    command: Command, asked: dict[str, Any]
) -> None:
    command("bench", "--random", "20", "--seed", "7", "--trials", "8", "--effort", "normal")
    assert (asked["what"], asked["seed"]) == (20, 7)
    assert (asked["trials"], asked["effort"]) == (8, "normal")


def test_an_interrupted_benchmark_prints_what_it_has_and_exits_130(
    command: Command, asked: dict[str, Any]
) -> None:
    asked["document"] = {"interrupted": True}
    ended = command("bench", "--suite", "peers", "--json")
    assert ended.code == 130
    assert ended.document["rows"]


@pytest.mark.parametrize(
    "option", [("--plot", "rows.jpg"), ("--plot", "no/where.png"), ("--csv", "no/where.csv")]
)
def test_files_that_cannot_be_written_are_refused_before_anything_is_measured(
    command: Command, asked: dict[str, Any], option: tuple[str, str]
) -> None:
    ended = command("bench", "--suite", "peers", *option)
    assert ended.code == 2
    assert option[1] in ended.stderr
    assert asked == {}


def test_a_suite_is_tuned_and_what_this_version_cannot_compute_is_left_out(
    command: Command, replace: Replace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.bench.conftest import TINY, UNHEARD

    tuned: list[str] = []

    def tune(workloads: Any, **options: Any) -> Any:
        tuned.extend(map(str, workloads))
        return fake_tune()(workloads, **options)

    replace("vrmpy_tune.tune.run", tune=tune)
    monkeypatch.setattr("vrmpy_tune.cli.options.suite_called", lambda _: TINY)
    ended = command("tune", DENSE, "--suite", "tiny", "--variant", "second")
    assert ended.code == 0
    assert tuned == [DENSE, TINY.members[2].text]
    assert "Left out of tiny: " in ended.stderr
    assert UNHEARD in ended.stderr


def test_records_are_drawn(command: Command, tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db") as opened:
        opened.add(record(300_000, DENSE))
    figure = tmp_path / "records.png"
    ended = command("records", "plot", figure, "--records", tmp_path / "a.db", "--json")
    assert ended.document == {"path": str(figure), "records": 1, "drawn": 1, "curves": 0}
    assert figure.stat().st_size > 1000
    ended = command("records", "plot", tmp_path / "records.gif", "--records", tmp_path / "a.db")
    assert ended.code == 2
