"""The artifact directory of a network.

``model.o`` defines ``__tvm_ffi_main``, which takes the bytes of ``parameters.bin``, the inputs, the
outputs and the counters of the layers; ``kernels/`` has the assembly and the scheduled program of
each kernel; ``reference.npz`` the plain constants, from which the interpreter computes what the
device must.  ``manifest.json`` has the hashes of all of them, and says what each layer is.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vrmpy_tune.compiler.artifact import (
    FINISHED_SCHEMA,
    MANIFEST,
    SCHEMA,
    SYMBOL,
    damage_told,
    read_checked,
    read_manifest,
    spec_json,
    spec_of,
    write_files,
    write_manifest,
)
from vrmpy_tune.errors import ArtifactError, ModelError, UsageError
from vrmpy_tune.model.execution import Program
from vrmpy_tune.model.network import Layer, Network, Port
from vrmpy_tune.target import parse_target
from vrmpy_tune.toolchain.assembly import count_multiplies
from vrmpy_tune.workload import parse_workload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vrmpy_tune.model.executable import Executable
    from vrmpy_tune.target import HexagonTarget

KIND: Final = "network"
"""What the manifest's ``kind`` says; that of kernels has none."""

OBJECT: Final = "model.o"
PARAMETERS: Final = "parameters.bin"
REFERENCE: Final = "reference.npz"


@dataclass(frozen=True, eq=False)
class StoredNetwork:
    """A network that was read from an artifact directory, every hash checked.

    Attributes
    ----------
    manifest:
        The manifest.
    program, target:
        What a device runs, and what it was compiled for.
    network:
        What it computes.
    """

    manifest: dict[str, Any] = field(repr=False)
    program: Program
    target: HexagonTarget
    network: Network


def is_network(directory: Path) -> bool:
    """Whether a directory holds a network; raises ``ArtifactError`` if it is no artifact."""
    return read_manifest(directory).get("kind") == KIND


def write_network(
    root: Path, network: Network, executable: Executable, manifest: dict[str, Any]
) -> None:
    """Write an artifact directory.

    Parameters
    ----------
    manifest:
        What else the manifest says; ``kernels`` has an entry for each kernel of ``executable``.

    Raises
    ------
    ArtifactError
        If a file cannot be written.
    """
    tables = executable.tables
    files = {
        OBJECT: executable.code,
        PARAMETERS: tables.parameters.tobytes(),
        REFERENCE: _constants_npz(network),
    }
    for number, built in enumerate(executable.kernels):
        files[_assembly(number)] = built.kernel.assembly.encode()
        files[_program(number)] = built.kernel.tir.encode()
    kernels = {workload: number for number, workload in enumerate(tables.kernels)}
    layers = [
        {
            "name": layer.name,
            "kernel": kernels[layer.workload],
            "inputs": list(layer.inputs),
            "output": layer.output,
        }
        for layer in network.layers
    ]
    document = {
        **manifest,
        "schema": FINISHED_SCHEMA if any(one.after for one in network.outputs) else SCHEMA,
        "kind": KIND,
        "symbol": SYMBOL,
        "files": write_files(root, files),
        "arguments": {
            "inputs": [spec_json(one) for one in tables.inputs],
            "outputs": [spec_json(one) for one in tables.outputs],
        },
        "interface": {
            "inputs": [port.as_json() for port in network.inputs],
            "outputs": [port.as_json() for port in network.outputs],
        },
        "arena_bytes": tables.arena_bytes,
        "layers": layers,
    }
    write_manifest(root, document)


def read_network(root: Path) -> StoredNetwork:
    """Read an artifact directory and check everything that can be checked.

    Raises
    ------
    ArtifactError
        If the directory is none of a network, is from a newer version, a file is missing or
        altered, or what the manifest says does not fit together.
    """
    manifest = read_manifest(root)
    path = root / MANIFEST
    if manifest.get("kind") != KIND:
        raise ArtifactError(f"{root} holds no network; compile a model into it.")
    with damage_told(path), _refused(path):
        contents = _read_files(root, manifest)
        workloads = []
        for number, entry in enumerate(manifest["kernels"]):
            counted = count_multiplies(contents[_assembly(number)].decode())
            if counted != entry["vrmpy"]:
                raise ArtifactError(
                    f"{path} says that kernel {number} has {entry['vrmpy']} multiply instructions, "
                    f"but its assembly has {counted}; compile again."
                )
            workloads.append(parse_workload(str(entry["workload"])))
        parameters = np.frombuffer(contents[PARAMETERS], np.uint8)
        program = Program(
            root / OBJECT,
            tuple(spec_of(one) for one in manifest["arguments"]["inputs"]),
            tuple(spec_of(one) for one in manifest["arguments"]["outputs"]),
            parameters,
        )
        constants = _read_constants(contents[REFERENCE])
        layers = tuple(
            Layer(
                str(entry["name"]),
                workloads[int(entry["kernel"])],
                tuple(str(one) for one in entry["inputs"]),
                constants.get(str(entry["name"]), {}),
                str(entry["output"]),
            )
            for entry in manifest["layers"]
        )
        ports = manifest["interface"]
        network = Network(
            layers,
            tuple(Port.of_json(one) for one in ports["inputs"]),
            tuple(Port.of_json(one) for one in ports["outputs"]),
        )
        stored = StoredNetwork(manifest, program, parse_target(str(manifest["target"])), network)
    _check_arguments(path, stored)
    return stored


def code_of_layers(root: Path) -> list[tuple[str, str]]:
    """Return the scheduled program and the assembly of each layer's kernel.

    The errors are those of :func:`read_network`.
    """
    numbers = [int(layer["kernel"]) for layer in read_network(root).manifest["layers"]]
    return [
        ((root / _program(number)).read_text(), (root / _assembly(number)).read_text())
        for number in numbers
    ]


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Turn a workload, target or network that does not exist into an ``ArtifactError``."""
    try:
        yield
    except (UsageError, ModelError) as error:
        raise ArtifactError(f"{path} is damaged: {error} Compile again.") from error


def _assembly(number: int) -> str:
    return f"kernels/{number}.s"


def _program(number: int) -> str:
    return f"kernels/{number}.tir.py"


def _read_files(root: Path, manifest: dict[str, Any]) -> dict[str, bytes]:
    wanted = {OBJECT, PARAMETERS, REFERENCE}
    for number in range(len(manifest["kernels"])):
        wanted |= {_assembly(number), _program(number)}
    if set(manifest["files"]) != wanted:
        odd = sorted(set(manifest["files"]) ^ wanted)
        raise ArtifactError(
            f"{root / MANIFEST} names other files than a network has ({', '.join(odd)}), which is "
            "refused; compile again."
        )
    return {name: read_checked(root / name, manifest["files"][name]) for name in sorted(wanted)}


def _check_arguments(path: Path, stored: StoredNetwork) -> None:
    """Check that the object's arguments are those of the network, before anything runs."""
    program, network = stored.program, stored.network
    found = [(one.shape, one.dtype) for one in (*program.inputs, *program.outputs)]
    ports = [(one.integer_shape, one.integer_dtype) for one in network.inputs]
    results = [(one.integer_shape, one.integer_dtype) for one in network.outputs]
    parameters = ((program.parameters.size,), "uint8")
    if found != [parameters, *ports, *results, ((len(network.layers), 2), "int64")]:
        raise ArtifactError(
            f"{path}: {OBJECT} takes other arguments than the network has; compile again."
        )


def _constants_npz(network: Network) -> bytes:
    arrays = {
        f"{number}/{operand}": array
        for number, layer in enumerate(network.layers)
        for operand, array in layer.constants.items()
    }
    names = np.asarray([layer.name for layer in network.layers])
    file = io.BytesIO()
    np.savez(file, names=names, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _read_constants(content: bytes) -> dict[str, dict[str, np.ndarray]]:
    """Return constants by layer and operand."""
    found: dict[str, dict[str, np.ndarray]] = {}
    try:
        archive = np.load(io.BytesIO(content), allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError(f"{REFERENCE} is a single array")
        with archive:
            names = [str(name) for name in archive["names"]]
            for key in archive.files:
                number, slash, operand = key.partition("/")
                if slash:
                    found.setdefault(names[int(number)], {})[operand] = archive[key]
    except (EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{REFERENCE} is no archive") from error
    return found
