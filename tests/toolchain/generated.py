"""Code for scheduled modules, generated where a crash of LLVM ends a test and not the tests."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import tvm

from vrmpy_tune.target import TARGETS, HexagonTarget
from vrmpy_tune.toolchain.codegen import CODE_GENERATORS, CodeGenerator, to_object
from vrmpy_tune.toolchain.pool import CodegenPool

if TYPE_CHECKING:
    from vrmpy_tune.toolchain.zig import Compiled

V68: Final = TARGETS["hexagon-v68"]
GENERATORS: Final = {generator.name: generator for generator in CODE_GENERATORS}


@cache
def pool() -> CodegenPool:
    """Return the one worker that all tests share."""
    shared = CodegenPool(1)
    atexit.register(shared.close)
    return shared


@cache
def _directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="tests-of-vrmpy-tune-", dir="/tmp"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def llvm_ir(module: tvm.IRModule, target: HexagonTarget = V68) -> str:
    """Return the LLVM IR that zig's clang would get."""
    return pool().generate(tvm.ir.save_json(module), target, by_tvm=False)


def compiled(
    module: tvm.IRModule,
    generator: CodeGenerator = GENERATORS["zig-rotate"],
    target: HexagonTarget = V68,
) -> Compiled:
    """Compile a scheduled module; each object is kept until the tests end."""
    text = pool().generate(tvm.ir.save_json(module), target, by_tvm=generator.by_tvm)
    key = hashlib.sha256(f"{generator.name} {target.name} {text}".encode()).hexdigest()[:16]
    directory = _directory() / key
    directory.mkdir(exist_ok=True)
    return to_object(text, generator, target, directory)
