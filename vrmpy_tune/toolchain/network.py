"""One object for a network: its kernels, the table of its layers, and the executor."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vrmpy_tune.toolchain.link import link_relocatable
from vrmpy_tune.toolchain.runtime import tvm_ffi_include
from vrmpy_tune.toolchain.zig import assemble, compile_c

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vrmpy_tune.target import HexagonTarget

_SOURCES: Final = Path(__file__).parent.parent / "device" / "network"
_ENTRY: Final = re.compile(r"\b__tvm_ffi_main\b")
_FLAGS: Final = ("-Wall", "-Wextra", "-Werror", "-fno-asynchronous-unwind-tables")


def network_object(table: str, kernels: Mapping[str, str], target: HexagonTarget) -> bytes:
    """Return the object file of a network; it defines ``__tvm_ffi_main``.

    Parameters
    ----------
    table:
        C source of the table (:meth:`vrmpy_tune.model.tables.Tables.as_c`).
    kernels:
        Assembly text of each kernel, which defines ``__tvm_ffi_main``, by the name it gets instead.

    Raises
    ------
    BuildError
        If one of the steps fails.
    """
    with tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as place:
        directory = Path(place)
        objects = [
            assemble(_ENTRY.sub(name, text), target, directory, name=name).object_file
            for name, text in kernels.items()
        ]
        (directory / "table.c").write_text(table, encoding="utf-8")
        flags: list[str | Path] = [*_FLAGS, "-I", _SOURCES, "-I", tvm_ffi_include()]
        for source in (directory / "table.c", _SOURCES / "executor.c"):
            compiled = directory / f"{source.stem}.o"
            compile_c(source, target, compiled, flags)
            objects.append(compiled)
        merged = directory / "model.o"
        link_relocatable(objects, merged)
        return merged.read_bytes()
