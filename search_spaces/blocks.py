"""Small pieces for writing blocks with TVM's IR builder."""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from vrmpy_tune.target import VECTOR_BYTES


def argument(name: str, shape: tuple[int, ...], dtype: str) -> Any:
    """Declare a parameter of the function, aligned to a vector."""
    return T.arg(name, T.buffer(shape, dtype, align=VECTOR_BYTES))


def allocate(name: str, shape: tuple[int, ...], dtype: str, scope: str = "global") -> Any:
    """Allocate a buffer in the root block, aligned to a vector."""
    buffer = T.sblock_alloc_buffer(shape, dtype, scope=scope, align=VECTOR_BYTES)
    IRBuilder.name(name, buffer)
    return buffer


def spatial(extents: tuple[int, ...], loops: Any) -> list[Any]:
    """Bind loops to spatial block variables."""
    return [T.axis.spatial(extent, loop) for extent, loop in zip(extents, loops, strict=True)]


def reduce(extents: tuple[int, ...], loops: Any) -> list[Any]:
    """Bind loops to reduction block variables."""
    return [T.axis.reduce(extent, loop) for extent, loop in zip(extents, loops, strict=True)]
