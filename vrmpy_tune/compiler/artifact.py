"""The artifact directory: what a compiled kernel is on disk.

A kernel is three files: ``kernel.o`` (plain TVM ABI: it defines ``__tvm_ffi_main``), ``kernel.s``
and ``kernel.tir.py`` (the scheduled program), beside ``manifest.json``, which has their hashes, so
that anyone can link and run it without this project, and nobody runs an altered one by accident.
Of several kernels each has a directory of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.device.protocol import TensorSpec
from vrmpy_tune.errors import ArtifactError, StoreError
from vrmpy_tune.regular import check_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from vrmpy_tune.compiler.kernel import Kernel

SCHEMA: Final = 1
FINISHED_SCHEMA: Final = 2
"""Of networks whose outputs the host computes something of, which versions before cannot."""
MANIFEST: Final = "manifest.json"
ONLY: Final = "."
"""Directory of a kernel that is the only one of its artifact."""
SYMBOL: Final = "__tvm_ffi_main"
FILES: Final = frozenset({"kernel.o", "kernel.s", "kernel.tir.py"})
"""What is in the directory of each kernel."""
MAX_MANIFEST_BYTES: Final = 16 << 20


@dataclass(frozen=True)
class StoredKernel:
    """One kernel of an artifact.

    Attributes
    ----------
    name:
        Its directory, :data:`ONLY` for a single kernel.
    workload, space:
        What it computes, and the form whose weight packing it expects.
    target:
        Target name.
    object_file:
        Its object file, whose hash was checked.
    inputs, output:
        Its arguments.
    """

    name: str
    workload: str
    space: str
    target: str
    object_file: Path
    inputs: tuple[TensorSpec, ...]
    output: TensorSpec


def kernel_directory(workload: str) -> str:
    """Return the name of a workload's directory: its text, fit for a file system."""
    return re.sub(r"[^a-z0-9]+", "-", workload.lower()).strip("-")[:180]


def write_kernel(
    root: Path, directory: str, kernel: Kernel, entry: dict[str, Any]
) -> dict[str, Any]:
    """Write the files of one kernel and return its manifest entry.

    Parameters
    ----------
    root:
        The artifact directory; created if it does not exist.
    directory:
        The kernel's directory within, :data:`ONLY` for a single one.
    entry:
        What else the manifest says of the kernel.

    Raises
    ------
    ArtifactError
        If a file cannot be written.
    """
    files = {
        "kernel.o": kernel.code,
        "kernel.s": kernel.assembly.encode(),
        "kernel.tir.py": kernel.tir.encode(),
    }
    return {
        **entry,
        "directory": directory,
        "symbol": SYMBOL,
        "arguments": [spec_json(spec) for spec in (*kernel.inputs, kernel.output)],
        "files": write_files(root / directory, files),
    }


def write_manifest(root: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest last, in one step: a directory with one is complete.

    Its ``schema`` is :data:`SCHEMA` unless ``manifest`` has another.

    Raises
    ------
    ArtifactError
        If it cannot be written.
    """
    from vrmpy_tune.records.atomic_file import replace_file

    text = json.dumps({"schema": SCHEMA, **manifest}, indent=2, sort_keys=True)
    try:
        replace_file(root / MANIFEST, text.splitlines())
    except StoreError as error:
        raise ArtifactError(f"The artifact is incomplete: {error}") from error


def read_manifest(root: Path) -> dict[str, Any]:
    """Read the manifest of an artifact directory.

    Raises
    ------
    ArtifactError
        If the directory is none, or is from a newer version.
    """
    path = root / MANIFEST
    try:
        check_regular(path)
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise ArtifactError(f"{path} is too large to be a manifest.")
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{root} is not an artifact directory: {path.name} cannot be read ({error}). "
            "Compile again with vrmpy-tune compile."
        ) from error
    with damage_told(path):
        # Kernels have no kind; what they are has not changed.
        newest = FINISHED_SCHEMA if "kind" in manifest else SCHEMA
        if manifest["schema"] not in (SCHEMA, newest):
            raise ArtifactError(
                f"{path} has schema {manifest['schema']}, this version reads up to {newest}; "
                "compile again."
            )
        return dict(manifest)


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Turn what reading fields of a damaged manifest raises into an ``ArtifactError``."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"{path} is damaged ({type(error).__name__}: {error}); compile again."
        ) from error


def read_artifact(root: Path) -> list[StoredKernel]:
    """Read an artifact of kernels and check every hash.

    Raises
    ------
    ArtifactError
        If the directory is none, is from a newer version, or a file is missing or altered.
    """
    manifest = read_manifest(root)
    with damage_told(root / MANIFEST):
        return [_read_kernel(root, entry) for entry in manifest["kernels"]]


def code_of_kernels(root: Path) -> list[tuple[str, str]]:
    """Return the scheduled program and the assembly of each kernel of an artifact.

    The errors are those of :func:`read_artifact`.
    """
    return [
        (
            kernel.object_file.with_name("kernel.tir.py").read_text(),
            kernel.object_file.with_name("kernel.s").read_text(),
        )
        for kernel in read_artifact(root)
    ]


def read_checked(path: Path, digest: str) -> bytes:
    """Return a file's content.

    Raises
    ------
    ArtifactError
        If it is missing, or its SHA-256 is not ``digest``.
    """
    try:
        check_regular(path)
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read ({error.strerror}); compile again.") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ArtifactError(f"{path} was altered after it was compiled; compile again.")
    return content


def write_files(root: Path, files: Mapping[str, bytes]) -> dict[str, str]:
    """Write files into an artifact directory, which is made; return their SHA-256 by name.

    Raises
    ------
    ArtifactError
        If one cannot be written.
    """
    try:
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    except OSError as error:
        raise ArtifactError(
            f"The artifact directory {root} cannot be written ({error.strerror}); "
            "choose another with --output, or make room."
        ) from error
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def _read_kernel(root: Path, entry: dict[str, Any]) -> StoredKernel:
    name = str(entry["directory"])
    if name != ONLY and kernel_directory(name) != name:
        raise ArtifactError(f"{root / MANIFEST} names the directory '{name}', which is refused.")
    if set(entry["files"]) != FILES:
        raise ArtifactError(
            f"{root / MANIFEST} names {', '.join(sorted(entry['files'])) or 'no files'} instead of "
            f"{', '.join(sorted(FILES))}, which is refused."
        )
    for file, digest in entry["files"].items():
        read_checked(root / name / file, digest)
    *inputs, output = (spec_of(one) for one in entry["arguments"])
    return StoredKernel(
        name,
        str(entry["workload"]),
        str(entry["space"]),
        str(entry["target"]),
        root / name / "kernel.o",
        tuple(inputs),
        output,
    )


def spec_json(spec: TensorSpec) -> dict[str, Any]:
    """Return an argument's specification as JSON data; :func:`spec_of` reads it."""
    return {"shape": list(spec.shape), "dtype": spec.dtype}


def spec_of(value: dict[str, Any]) -> TensorSpec:
    """Read what :func:`spec_json` wrote; raises what :func:`damage_told` turns."""
    return TensorSpec(tuple(int(extent) for extent in value["shape"]), str(value["dtype"]))
