"""The QEMU device, and kernels built for it from the C files in ``kernels/``."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from vrmpy_tune.device.protocol import Job, Limits, RunResult, TensorSpec
from vrmpy_tune.device.qemu import QemuDevice
from vrmpy_tune.target import TARGETS
from vrmpy_tune.toolchain.runtime import tvm_ffi_include
from vrmpy_tune.toolchain.zig import compile_c

V68 = TARGETS["hexagon-v68"]
KERNELS = Path(__file__).parent / "kernels"
BYTES = 1000


@cache
def qemu() -> QemuDevice:
    """Return the one device that all tests share."""
    return QemuDevice()


@cache
def _directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="tests-of-vrmpy-tune-", dir="/tmp"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


@cache
def build(name: str, *defines: str) -> Path:
    """Compile ``kernels/<name>.c`` with ``-D`` for each of ``defines``; return the object."""
    text = " ".join((name, *defines))
    object_file = _directory() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.o"
    flags: list[str | Path] = [
        "-Wall",
        "-Wextra",
        "-Werror",
        "-I",
        tvm_ffi_include(),
        *(f"-D{d}" for d in defines),
    ]
    compile_c(KERNELS / f"{name}.c", V68, object_file, flags)
    return object_file


def job(object_file: Path, bytes_in: int = BYTES, bytes_out: int = BYTES) -> Job:
    """Return a job with one uint8 input and one uint8 output."""
    return Job(
        object_file,
        "main",
        (TensorSpec((bytes_in,), "uint8"),),
        (TensorSpec((bytes_out,), "uint8"),),
    )


def ramp(count: int = BYTES) -> np.ndarray:
    """Return bytes that count up."""
    return np.arange(count, dtype=np.uint64).astype(np.uint8)


def run(
    name: str,
    *defines: str,
    limits: Limits | None = None,
    bytes_in: int = BYTES,
    bytes_out: int = BYTES,
) -> RunResult:
    """Build and run a kernel on one input set."""
    sets = ((ramp(bytes_in),),)
    made = job(build(name, *defines), bytes_in, bytes_out)
    return qemu().run(made, sets, V68, limits or Limits())
