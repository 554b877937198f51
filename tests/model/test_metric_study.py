"""Tuning a network for time and for packets, with equal budgets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.model.networks import Builder
from tests.records.samples import record
from tests.tuned import V68
from vrmpy_tune.cli.study import networks_text
from vrmpy_tune.model import metric_study, tuning
from vrmpy_tune.model.metric_study import JUDGE, RIVAL, StudiedNetwork, study_metrics, summary
from vrmpy_tune.records.location import open_store
from vrmpy_tune.suites.quantized import convolution

MODEL = Path("model.onnx")


def network(seed: int, metric: str, *times: float, issue: float = 1.0) -> StudiedNetwork:
    layers = [
        {
            "workload": f"w{number}",
            "estimated_us": us,
            "time_us": {"issue": issue, "memory": us - issue},
        }
        for number, us in enumerate(times)
    ]
    run = {"estimated_us": sum(times), "layers": layers}
    return StudiedNetwork(seed, metric, 9, None, run)


def test_the_summary_pairs_networks_of_one_seed() -> None:
    networks = [
        network(0, JUDGE, 10.0, 90.0), network(0, RIVAL, 20.0, 180.0),
        network(1, JUDGE, 10.0, 40.0), network(1, RIVAL, 10.0, 90.0),
        network(2, JUDGE, 1.0, 1.0),
    ]  # fmt: skip
    report = summary(networks)
    assert [row["ratio"] for row in report["seeds"]] == [0.5, 0.5]
    assert report["geomean_ratio"] == pytest.approx(0.5)
    assert [(row["workload"], row["difference_us"]) for row in report["tasks"]] == [
        ("w1", -70.0),
        ("w0", -5.0),
    ]
    assert report["tasks"][0]["parts_us"] == {"issue": 0.0, "memory": -70.0}
    assert report["parts_us"] == {"issue": 0.0, "memory": -75.0}
    text = networks_text(report)
    assert "mean difference of all tasks: memory -75.0, issue +0.0 us" in text
    assert "seed 1: 50.0 us tuned for hvx-time/sd8gen1/1, 100.0 us for qemu-critical/1" in text
    assert "-70.0 us (memory -70.0, issue +0.0)  1 x w1" in text


def test_equal_layers_are_one_task_and_small_differences_are_not_told() -> None:
    ours, theirs = network(0, JUDGE, 50.0, 50.0), network(0, RIVAL, 50.0, 50.1)
    for one in (ours, theirs):
        for layer in one.run["layers"]:
            layer["workload"] = "w"
    assert ours.tasks() == {"w": {"all": 100.0, "count": 2, "issue": 2.0, "memory": 98.0}}
    assert summary([ours, theirs])["tasks"] == []
    assert summary([])["geomean_ratio"] is None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    calls: list[dict[str, Any]] = []

    def tune_model(_: Path, **options: Any) -> list[Any]:
        calls.append(options)
        with open_store(options["records"]) as store:
            store.add(record(options["seed"], metric=options["metric"]))
        return [SimpleNamespace(interrupted=False)]

    run = {"estimated_us": 5.0, "layers": []}
    document = {"measured": 3, "isolated_us": None, "run": run}
    monkeypatch.setattr(metric_study, "tune_model", tune_model)
    monkeypatch.setattr(metric_study, "_network", lambda *_: document)
    monkeypatch.setattr(metric_study, "open_model", lambda _: (None, {"sha256": "ab"}))
    yield calls


def study(directory: Path, **changes: Any) -> list[StudiedNetwork]:
    options: dict[str, Any] = {"seeds": (0, 1), "trials": 7, **changes}
    return list(
        study_metrics(
            MODEL, target=V68, directory=directory, records=str(directory / "all.db"), **options
        )
    )


def test_both_metrics_get_the_same_seeds_and_trials_and_no_early_end(
    asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    networks = study(tmp_path)
    order = [(0, JUDGE), (0, RIVAL), (1, JUDGE), (1, RIVAL)]
    assert [(one.seed, one.metric) for one in networks] == order
    assert [(one["seed"], one["metric"]) for one in asked] == order
    assert all(one["trials"] == 7 for one in asked)
    assert not any(one["early_stop"] or one["transfer"] for one in asked)


def test_what_is_there_is_not_done_again_unless_something_else_is_asked(
    asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    first = study(tmp_path, seeds=(0,))
    assert study(tmp_path, seeds=(0,)) == first
    assert len(asked) == 2
    study(tmp_path, seeds=(0,), trials=8)
    assert len(asked) == 4
    kept = json.loads((tmp_path / "seed0-qemu-critical-1.json").read_text())
    assert kept["trials"] == 8


def test_runs_for_packets_recall_what_runs_for_time_measured(
    asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    study(tmp_path, seeds=(4,))
    with open_store(tmp_path / "all.db") as store:
        recalled = store.find(record(4, metric=RIVAL).identity)
        assert store.count() == 2
    assert recalled == record(4, metric=RIVAL)


def test_an_interrupted_run_ends_the_study(
    asked: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = [SimpleNamespace(interrupted=True)]
    monkeypatch.setattr(metric_study, "tune_model", lambda _, **__: ended)
    assert study(tmp_path) == []
    assert list(tmp_path.glob("*.json")) == []


@pytest.mark.device
@pytest.mark.slow
def test_a_small_network_is_tuned_both_ways_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = Builder((1, 4, 4, 32))
    dense = builder.add(convolution(4, (32, 32), act="relu"), "input")
    found = builder.network(builder.add(convolution(4, (32, 32)), dense)), {"sha256": "00"}
    for module in (metric_study, tuning):
        monkeypatch.setattr(module, "open_model", lambda _: found)
    ours, theirs = study(tmp_path, seeds=(0,), trials=1)
    assert ours.measured == theirs.measured >= len(found[0].layers)
    assert ours.run["verified"]
    assert theirs.run["verified"]
    assert theirs.isolated_us is None
    assert ours.isolated_us is not None
    assert 0 < ours.isolated_us < 2 * ours.estimated_us
    (row,) = summary([ours, theirs])["seeds"]
    assert row["ratio"] == ours.estimated_us / theirs.estimated_us
