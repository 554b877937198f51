"""Telling TVM about a rule, from any thread and as often as one likes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tvm


def register(name: str, description: tvm.tirx.PrimFunc, implementation: tvm.tirx.PrimFunc) -> None:
    """Register a tensorization rule.

    A rule's name says all that it is made from, so that a second one of that name, made by
    another thread at the same time, is the same rule.
    """
    from tvm.s_tir import TensorIntrin

    TensorIntrin.register(name, description, implementation, override=True)
