"""The commands on a model; the network is made by hand, the file only has to be there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import Command
from tests.cli.fakes import TUNED, Report
from tests.model.compiled import compiled_residual
from tests.model.networks import residual_network
from vrmpy_tune import errors
from vrmpy_tune.model import agreement, metric_study, opening, tuning
from vrmpy_tune.model import compile as compiling

pytestmark = pytest.mark.device

CACHE = os.environ.get("VRMPY_TUNE_CACHE")


@pytest.fixture(autouse=True)
def built(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the cache that has the simulator's runtime, which takes minutes to build."""
    if CACHE is None:
        monkeypatch.delenv("VRMPY_TUNE_CACHE")
    else:
        monkeypatch.setenv("VRMPY_TUNE_CACHE", CACHE)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is opened as a small residual network."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"a model")
    found = residual_network(), {"file": path.name, "sha256": "00"}
    monkeypatch.setattr(opening, "open_model", lambda _: found)
    monkeypatch.setattr(tuning, "open_model", lambda _: found)
    monkeypatch.setattr(agreement, "compare_with_runtime", lambda *_: agreement.NOT_ASKED)
    return path


def test_a_model_is_explained_task_by_task(command: Command, model: Path) -> None:
    ended = command("explain", model, "--json")
    assert ended.code == 0
    rows = ended.document["workloads"]
    assert [row["layers"] for row in rows] == [[f"layer{number}"] for number in range(5)]
    assert {row["status"] for row in rows} == {"missing"}


def test_strict_fails_and_names_each_missing_task(
    command: Command, model: Path, tmp_path: Path
) -> None:
    ended = command("compile", model, "-o", tmp_path / "net", "--strict")
    assert ended.code == errors.MissingRecordError.exit_code
    assert "5 of 5 tasks have no record that applies" in ended.stderr
    assert ended.stderr.count("vrmpy-tune tune '") == 5
    assert not (tmp_path / "net").exists()


def test_untuned_kernels_are_not_compared_for_models(command: Command, model: Path) -> None:
    ended = command("compile", model, "-o", "net", "--compare-untuned")
    assert ended.code == 2
    assert "--compare-untuned is for workloads" in ended.stderr


def test_a_compiled_model_is_reported_in_words(
    command: Command, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = compiled_residual()
    monkeypatch.setattr(compiling, "compile_network", lambda *_, **__: report)
    ended = command("compile", model, "-o", "net")
    assert ended.code == 0
    assert "missing, by the fixed rule" in ended.stdout
    assert "tensorized: 2 of 2 conv2d, 1 of 1 dense" in ended.stdout
    assert "0 of 5 tasks have records" in ended.stdout
    assert "what was missed costs at most" in ended.stdout
    assert "verified: device against interpreter bit for bit; interpreter compared with no" in (
        ended.stdout
    )


def test_the_trials_of_a_model_are_spread_over_its_heaviest_tasks(
    command: Command, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def tune(workloads: list[Any], **options: Any) -> list[Report]:
        seen.update(options, workloads=workloads)
        return [Report(TUNED)]

    monkeypatch.setattr(tuning, "tune", tune)
    arguments = ("tune", model, "--trials", 10, "--top-tasks", 2, "--seed", 3)
    ended = command(*arguments, "--json")
    assert ended.code == 0
    heaviest, second = seen["workloads"]
    assert (heaviest.kh, second.kh) == (3, 1)
    assert sum(seen["shares"].values()) == 20
    assert seen["shares"][heaviest] > seen["shares"][second] > 0
    resumed = seen["command"].split()
    assert resumed[:3] == ["vrmpy-tune", "tune", str(model)]
    assert {"--trials", "10", "--top-tasks", "2", "--seed", "3"} <= set(resumed)


@pytest.fixture
def compiled() -> Path:
    return compiled_residual().artifact


def test_a_network_runs_on_an_npz_and_writes_one(
    command: Command, compiled: Path, tmp_path: Path
) -> None:
    inputs, output = tmp_path / "x.npz", tmp_path / "y.npz"
    np.savez(inputs, image=np.full((1, 8, 8, 32), 0.5, np.float32))
    ended = command("run", compiled, "--input", inputs, "--output", output, "--profile", "--json")
    assert ended.code == 0
    layers = ended.document["layers"]
    assert [layer["name"] for layer in layers] == [f"layer{number}" for number in range(5)]
    assert ended.document["verified"]
    with np.load(output) as archive:
        assert (archive.files, archive["out_layer4"].shape) == (["out_layer4"], (1, 10))
    words = command("run", compiled, "--input", inputs, "--profile", "--no-verify")
    assert words.code == 0
    assert "MACs/packet  layer0" in words.stdout


def test_without_inputs_random_ones_are_taken(command: Command, compiled: Path) -> None:
    assert command("run", compiled, "--json").document["verified"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"picture": np.zeros((1, 8, 8, 32))}, "the model has no input 'picture'"),
        ({}, "the input 'image' is missing; it takes image (float32[1, 8, 8, 32])"),
        ({"image": np.zeros((1, 32, 8, 8))}, "'image' has shape [1, 32, 8, 8]"),
    ],
)
def test_an_npz_that_does_not_match_is_a_sentence(
    command: Command, compiled: Path, tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    ended = command("run", compiled, "--input", path)
    assert ended.code == 2
    assert f"--input {path}" in ended.stderr
    assert message in ended.stderr


def test_a_file_that_is_no_npz_is_a_sentence(
    command: Command, compiled: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(b"no archive")
    ended = command("run", compiled, "--input", path)
    assert (ended.code, ended.stdout) == (2, "")
    assert "is not an .npz file" in ended.stderr


def test_a_study_of_a_model_compares_what_it_is_tuned_for(
    command: Command, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def study(path: Path, **options: Any) -> list[metric_study.StudiedNetwork]:
        asked.update(options, path=path)
        return [
            metric_study.StudiedNetwork(0, metric, 9, None, {"estimated_us": us, "layers": []})
            for metric, us in ((metric_study.JUDGE, 8.0), (metric_study.RIVAL, 10.0))
        ]

    monkeypatch.setattr(metric_study, "study_metrics", study)
    output = tmp_path / "study"
    ended = command("study", model, "--seeds", "2", "--trials", "9", "-o", output, "--json")
    assert ended.code == 0
    assert ended.document["geomean_ratio"] == pytest.approx(0.8)
    assert json.loads((output / "networks.json").read_text()) == ended.document
    assert (asked["path"], list(asked["seeds"]), asked["trials"]) == (model, [0, 1], 9)
    assert asked["records"] == str(output / "study.db")
    assert "x 0.800 (9 and 9 candidates)" in command("study", model, "-o", output).stdout
