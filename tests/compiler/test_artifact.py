"""Artifact directories: altered ones are refused, whatever was altered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.compiler.conftest import Compile
from tests.tuned import DENSE, V68, tuned_store
from vrmpy_tune.compiler import compile_workloads, run_artifact
from vrmpy_tune.compiler.artifact import MANIFEST, read_artifact
from vrmpy_tune.errors import ArtifactError
from vrmpy_tune.workload import parse_workload

pytestmark = pytest.mark.device

Alter = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made") / "out"
    compile_workloads(
        [parse_workload(DENSE)],
        target=V68,
        records=[str(tuned_store())],
        output=directory,
        device=None,
    )
    return directory


@pytest.fixture
def artifact(made: Path, tmp_path: Path) -> Path:
    """A copy to alter."""
    return Path(shutil.copytree(made, tmp_path / "artifact"))


def test_an_untouched_copy_is_accepted(artifact: Path) -> None:
    (kernel,) = read_artifact(artifact)
    assert (kernel.workload, kernel.target) == (DENSE, V68.name)
    assert kernel.object_file.is_relative_to(artifact)


@pytest.mark.parametrize("name", ["kernel.o", "kernel.s", "kernel.tir.py"])
def test_an_altered_or_missing_file_is_refused_by_name(artifact: Path, name: str) -> None:
    path = artifact / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{name} was altered"):
        read_artifact(artifact)
    path.unlink()
    with pytest.raises(ArtifactError, match=f"{name} cannot be read"):
        read_artifact(artifact)


ALTERATIONS: dict[str, Alter] = {
    "newer schema": lambda m: m.update(schema=2),
    "no schema": lambda m: m.pop("schema"),
    "no kernels": lambda m: m.pop("kernels"),
    "kernels are text": lambda m: m.update(kernels="none"),
    "another directory": lambda m: m["kernels"][0].update(directory="../elsewhere"),
    "absolute directory": lambda m: m["kernels"][0].update(directory="/etc"),
    "another file": lambda m: m["kernels"][0]["files"].update({"../manifest.json": "0" * 64}),
    "hash left out": lambda m: m["kernels"][0]["files"].pop("kernel.o"),
    "another hash": lambda m: m["kernels"][0]["files"].update({"kernel.o": "0" * 64}),
    "arguments are text": lambda m: m["kernels"][0].update(arguments="none"),
    "no arguments": lambda m: m["kernels"][0].update(arguments=[]),
    "a shape of text": lambda m: m["kernels"][0]["arguments"][0].update(shape=["wide"]),
}


@pytest.mark.parametrize("way", ALTERATIONS)
def test_an_altered_manifest_is_refused(artifact: Path, way: str) -> None:
    path = artifact / MANIFEST
    manifest = json.loads(path.read_text())
    ALTERATIONS[way](manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError):
        read_artifact(artifact)


@pytest.mark.parametrize(
    ("argument", "change"),
    [(0, {"shape": [4, 32]}), (1, {"dtype": "int8"}), (2, {"shape": [8, 64]})],
)
def test_arguments_that_are_not_the_workloads_are_refused_before_anything_runs(
    artifact: Path, argument: int, change: dict[str, Any]
) -> None:
    path = artifact / MANIFEST
    manifest = json.loads(path.read_text())
    manifest["kernels"][0]["arguments"][argument].update(change)
    path.write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="other arguments"):
        run_artifact(artifact)


def test_a_form_that_does_not_exist_any_more_is_refused(artifact: Path) -> None:
    path = artifact / MANIFEST
    path.write_text(path.read_text().replace("dense.scalar/", "dense.scalar/9"))
    with pytest.raises(ArtifactError, match="does not know"):
        run_artifact(artifact)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"schema": 1}'])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ArtifactError):
        read_artifact(tmp_path)


def test_a_directory_without_a_manifest_is_no_artifact(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ArtifactError, match="not an artifact directory"):
            read_artifact(path)


def test_compiling_again_replaces_an_altered_artifact(compiled: Compile, artifact: Path) -> None:
    (artifact / "kernel.o").write_bytes(b"altered")
    compiled(output=artifact, device=None)
    assert len(read_artifact(artifact)) == 1
