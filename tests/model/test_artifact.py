"""A network's directory: altered ones are refused, whatever was altered."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vrmpy_tune.compiler.artifact import MANIFEST, read_artifact
from vrmpy_tune.errors import ArtifactError
from vrmpy_tune.model.artifact import REFERENCE, is_network, read_network
from vrmpy_tune.model.network import Network

pytestmark = pytest.mark.device

Alter = Callable[[dict[str, Any]], object]


def test_an_untouched_copy_is_the_network(artifact: Path, network: Network) -> None:
    stored = read_network(artifact)
    assert is_network(artifact)
    assert [layer.name for layer in stored.network.layers] == [one.name for one in network.layers]
    for found, wanted in zip(stored.network.layers, network.layers, strict=True):
        assert found.workload == wanted.workload
        for name, array in wanted.constants.items():
            np.testing.assert_array_equal(found.constants[name], array)
    assert stored.network.inputs == network.inputs
    assert stored.network.outputs == network.outputs


def test_every_file_of_the_directory_is_in_the_manifest(artifact: Path) -> None:
    files = {str(one.relative_to(artifact)) for one in artifact.rglob("*") if one.is_file()}
    assert files == {MANIFEST, *read_network(artifact).manifest["files"]}


@pytest.mark.parametrize(
    "name", ["model.o", "parameters.bin", "reference.npz", "kernels/0.s", "kernels/4.tir.py"]
)
def test_an_altered_or_missing_file_is_refused_by_name(artifact: Path, name: str) -> None:
    path = artifact / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{name} was altered"):
        read_network(artifact)
    path.unlink()
    with pytest.raises(ArtifactError, match=f"{name} cannot be read"):
        read_network(artifact)


ALTERATIONS: dict[str, Alter] = {
    "newer schema": lambda m: m.update(schema=3),
    "another kind": lambda m: m.update(kind="kernels"),
    "no layers": lambda m: m.pop("layers"),
    "layers are text": lambda m: m.update(layers="none"),
    "a layer less": lambda m: m["layers"].pop(),
    "layers in another order": lambda m: m["layers"].reverse(),
    "a layer of another kernel": lambda m: m["layers"][0].update(kernel=2),
    "a kernel that is not there": lambda m: m["layers"][0].update(kernel=7),
    "an input that is not there": lambda m: m["layers"][0].update(inputs=["nowhere"]),
    "another workload": lambda m: m["kernels"][0].update(workload="softmax:m=3"),
    "a kernel more": lambda m: m["kernels"].append(m["kernels"][0]),
    "more multiplies": lambda m: m["kernels"][0].update(vrmpy=1_000),
    "another target": lambda m: m.update(target="hexagon-v1"),
    "another file": lambda m: m["files"].update({"../manifest.json": "0" * 64}),
    "hash left out": lambda m: m["files"].pop("model.o"),
    "another hash": lambda m: m["files"].update({"model.o": "0" * 64}),
    "no arguments": lambda m: m.update(arguments={"inputs": [], "outputs": []}),
    "another shape": lambda m: m["arguments"]["inputs"][1].update(shape=[1, 8, 8, 31]),
    "counters left out": lambda m: m["arguments"]["outputs"].pop(),
    "no interface": lambda m: m.pop("interface"),
    "a scale of text": lambda m: m["interface"]["inputs"][0].update(scale="wide"),
    "an unknown operator on the host": lambda m: m["interface"]["outputs"][0].update(
        after={"argmax": {}}
    ),
    "a softmax of another type": lambda m: m["interface"]["outputs"][0].update(
        after={"softmax": {}}, dtype="int8"
    ),
    "a softmax of a scale below zero": lambda m: m["interface"]["outputs"][0].update(
        after={"softmax": {"grid": {"dtype": "int8", "scale": -1, "zero_point": 0}}}
    ),
    "another tensor": lambda m: m["interface"]["outputs"][0].update(tensor="layer0"),
}


@pytest.mark.parametrize("way", ALTERATIONS)
def test_an_altered_manifest_is_refused(artifact: Path, way: str) -> None:
    path = artifact / MANIFEST
    manifest = json.loads(path.read_text())
    ALTERATIONS[way](manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError):
        read_network(artifact)


def test_a_manifest_without_the_hosts_part_is_that_of_older_versions(artifact: Path) -> None:
    manifest = json.loads((artifact / MANIFEST).read_text())
    assert manifest["schema"] == 1
    assert "after" not in manifest["interface"]["outputs"][0]
    (port,) = read_network(artifact).network.outputs
    assert port.after is None


def test_the_manifest_says_where_the_kernels_come_from(compiled: Path) -> None:
    manifest = read_network(compiled).manifest
    assert manifest["tensorized"] == {"conv2d": [2, 2], "dense": [1, 1]}
    assert manifest["verified"] == ["random", "extremes", "largest"]
    assert set(manifest["toolchain"]) == {"tvm", "tvm_ffi", "zig", "packets", "lowering"}
    assert [kernel["status"] for kernel in manifest["kernels"]] == ["missing"] * 5
    vrmpy = [kernel["vrmpy"] > 0 for kernel in manifest["kernels"]]
    assert vrmpy == [True, True, False, False, True]


def test_a_network_is_not_taken_for_kernels_nor_the_other_way_round(
    artifact: Path, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError):
        read_artifact(artifact)
    other = tmp_path / "other"
    other.mkdir()
    (other / MANIFEST).write_text('{"schema": 1, "kernels": []}')
    assert not is_network(other)
    with pytest.raises(ArtifactError, match="holds no network"):
        read_network(other)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", "array"])
def test_a_reference_that_is_no_archive_is_refused(artifact: Path, content: bytes | str) -> None:
    if isinstance(content, str):
        file = io.BytesIO()
        np.save(file, np.zeros(3))
        content = file.getvalue()
    (artifact / REFERENCE).write_bytes(content)
    manifest = json.loads((artifact / MANIFEST).read_text())
    manifest["files"][REFERENCE] = hashlib.sha256(content).hexdigest()
    (artifact / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError):
        read_network(artifact)


def test_a_manifest_that_is_a_pipe_is_refused_at_once(artifact: Path) -> None:
    (artifact / MANIFEST).unlink()
    os.mkfifo(artifact / MANIFEST)
    with pytest.raises(ArtifactError, match="no regular file"):
        read_network(artifact)
