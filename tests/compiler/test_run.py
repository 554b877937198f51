"""Running an artifact on one's own inputs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tuned import CONV, DENSE, V68, tuned_store
from vrmpy_tune.compiler import compile_workloads, run_artifact
from vrmpy_tune.compiler.run import read_arrays, write_arrays
from vrmpy_tune.device.fake import FakeDevice, Fault
from vrmpy_tune.errors import DeviceError, UsageError, VerificationError
from vrmpy_tune.workload import parse_workload

pytestmark = pytest.mark.device

WORKLOAD = parse_workload(CONV)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made") / "out"
    compile_workloads(
        [WORKLOAD], target=V68, records=[str(tuned_store())], output=directory, device=None
    )
    return directory


def arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(9)
    return {
        "activations": generator.integers(0, 256, WORKLOAD.input_shape).astype(np.uint8),
        "weights": generator.integers(-128, 128, WORKLOAD.weight_shape).astype(np.int8),
    }


def test_outputs_of_ones_own_inputs_are_exact(artifact: Path, tmp_path: Path) -> None:
    given = arrays()
    np.savez(tmp_path / "x.npz", **given)
    report = run_artifact(artifact, inputs=tmp_path / "x.npz", output=tmp_path / "y.npz")
    with np.load(tmp_path / "y.npz") as written:
        assert written.files == ["output"]
        wanted = WORKLOAD.reference(given["activations"], given["weights"])
        np.testing.assert_array_equal(written["output"], wanted)
    assert report.as_json()["layers"][0]["share"] == 1.0


Change = Callable[[dict[str, np.ndarray]], object]
CHANGES: dict[str, Change] = {
    "no weights": lambda a: a.pop("weights"),
    "another name": lambda a: a.update(input=a.pop("activations")),
    "wrong shape": lambda a: a.update(weights=a["weights"][:-1]),
    "transposed": lambda a: a.update(activations=a["activations"].T),
    "wrong type": lambda a: a.update(weights=a["weights"].astype(np.int32)),
    "wrong sign": lambda a: a.update(activations=a["activations"].astype(np.int8)),
    "objects": lambda a: a.update(weights=np.array([{}], dtype=object)),
}


@pytest.mark.parametrize("way", CHANGES)
def test_inputs_that_do_not_fit_are_a_sentence(artifact: Path, tmp_path: Path, way: str) -> None:
    given = arrays()
    CHANGES[way](given)
    path = tmp_path / "x.npz"
    np.savez(path, **given)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=str(path)):
        run_artifact(artifact, inputs=path)


def _cut(path: Path) -> None:
    np.savez(path, **arrays())  # type: ignore[arg-type]
    path.write_bytes(path.read_bytes()[:-100])


def _damaged(path: Path) -> None:
    np.savez_compressed(path, **arrays())  # type: ignore[arg-type]
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)


def _single(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


FILES: dict[str, Callable[[Path], Any]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("hello"),
    "zip header only": lambda path: path.write_bytes(b"PK\x03\x04"),
    "cut": _cut,
    "damaged": _damaged,
    "a single array": _single,
    "a directory": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("way", FILES)
def test_a_file_that_is_no_archive_is_a_sentence(artifact: Path, tmp_path: Path, way: str) -> None:
    path = tmp_path / "x.npz"
    FILES[way](path)
    with pytest.raises(UsageError, match=str(path)):
        run_artifact(artifact, inputs=path)


def test_an_output_that_cannot_be_written_is_a_sentence(artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        run_artifact(artifact, output=tmp_path / "none" / "y.npz")


def test_inputs_for_several_kernels_are_refused(tmp_path: Path) -> None:
    workloads = [parse_workload(text) for text in (DENSE, CONV)]
    where = [str(tuned_store())]
    compile_workloads(workloads, target=V68, records=where, output=tmp_path / "two", device=None)
    with pytest.raises(UsageError, match="has 2"):
        run_artifact(tmp_path / "two", inputs=tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("fault", "error"), [(Fault.OK, VerificationError), (Fault.LOST, DeviceError)]
)
def test_a_wrong_output_and_a_lost_device_are_told_apart(
    artifact: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault, error: type[Exception]
) -> None:
    device = FakeDevice(faults={0: fault})  # its outputs are all zero
    monkeypatch.setattr("vrmpy_tune.compiler.run.open_device", lambda _: device)
    with pytest.raises(error):
        run_artifact(artifact)


def test_an_array_may_have_any_name(tmp_path: Path) -> None:
    names = ("file", "args", "kwds", "arr_0", "self", "a/b", "größe", "x.npy", " ", "")
    given = {name: np.full((2, 3), number) for number, name in enumerate(names)}
    write_arrays(tmp_path / "y.npz", given)
    with np.load(tmp_path / "y.npz", allow_pickle=False) as archive:
        assert set(archive.files) == set(names)
        for name, array in given.items():
            np.testing.assert_array_equal(archive[name], array)


def test_names_that_an_archive_would_cut_stay_apart_and_too_long_ones_are_a_sentence(
    tmp_path: Path,
) -> None:
    path = tmp_path / "y.npz"
    write_arrays(path, {"a\0b": np.zeros(1), "a\0c": np.ones(1)})
    assert set(read_arrays(path)) == {"a\\0b", "a\\0c"}
    with pytest.raises(UsageError, match="cannot hold an array of this name"):
        write_arrays(path, {"n" * 70_000: np.zeros(1)})


def test_inputs_from_a_pipe_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.npz")
    with pytest.raises(UsageError, match="no regular file"):
        read_arrays(tmp_path / "x.npz")
