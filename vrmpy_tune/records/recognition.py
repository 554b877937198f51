"""Which workload a program computes, by TVM's structural equality."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import tvm
import tvm_ffi

from search_spaces import spaces_for
from vrmpy_tune.compiler.anchor import anchor_of
from vrmpy_tune.errors import WorkloadError
from vrmpy_tune.quantize import LIMITS
from vrmpy_tune.workload import Contraction, parse_workload
from vrmpy_tune.workload.contraction import ACTIVATIONS, OUTPUT_TYPES, REQUANT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.workload import Workload

MOST_PROGRAMS: Final = 600
"""Most programs of variants that are made to recognize one function; each takes milliseconds."""

_Signature = tuple[tuple[tuple[int, ...], str], ...]
"""Shapes and types of arguments."""


class Recognizer:
    """Recognizes the programs of workloads, in all forms, on packed and on plain operands.

    Parameters
    ----------
    texts:
        Workloads with records.  Other fused variants of them, which their records serve by anchor,
        are recognized, too, those with two zero points only where few others are likelier.
    target:
        What the programs are for.
    """

    def __init__(self, texts: Iterable[str], target: HexagonTarget) -> None:
        self.target = target
        self.programs: dict[int, list[tuple[tvm.IRModule, Workload]]] = {}
        self._anchors: dict[tuple[object, ...], list[Contraction]] = {}
        self._strangers: dict[int, list[tvm.IRModule]] = {}
        for text in texts:
            try:
                workload = parse_workload(text)
            except WorkloadError:
                continue  # of a newer version
            for space in spaces_for(workload, target):
                for module in (space.module(workload), space.plain_module(workload)):
                    self._keep(module, workload)
            anchor = anchor_of(workload)
            if isinstance(anchor, Contraction):
                alike = self._anchors.setdefault(_ends(_plain_signature(anchor)), [])
                alike.extend([] if anchor in alike else [anchor])

    def recognize(self, module: tvm.IRModule) -> Workload | None:
        """Return the workload whose program a module is; ``None`` for a stranger's."""
        key = tvm_ffi.structural_hash(module)
        for known, workload in self.programs.get(key, []):
            if tvm_ffi.structural_equal(known, module):
                return workload
        if any(tvm_ffi.structural_equal(one, module) for one in self._strangers.get(key, [])):
            return None
        variant = self._variant(module)
        if variant is None:
            self._strangers.setdefault(key, []).append(module)
        else:
            self._keep(module, variant)
        return variant

    def _keep(self, module: tvm.IRModule, workload: Workload) -> None:
        self.programs.setdefault(tvm_ffi.structural_hash(module), []).append((module, workload))

    def _variant(self, module: tvm.IRModule) -> Workload | None:
        """Return the fused variant of a known workload that a module computes."""
        given = _signature_of(module)
        if not given:
            return None
        candidates = (
            variant
            for anchor in self._anchors.get(_ends(given), [])
            for variant in _variants(anchor, _constants(module))
        )
        # Two variants may have one program: then either's record schedules it.
        programs = (
            (variant, one) for variant in candidates for one in self._programs(variant, given)
        )
        for variant, program in itertools.islice(programs, MOST_PROGRAMS):
            if tvm_ffi.structural_equal(program, module):
                return variant
        return None

    def _programs(self, variant: Contraction, given: _Signature) -> Iterator[tvm.IRModule]:
        """Yield the variant's programs that take what is given."""
        for space in spaces_for(variant, self.target):
            output = space.output(variant)
            packed = (*space.inputs(variant), output)
            if tuple((one.shape, one.dtype) for one in packed) == given:
                yield space.module(variant)
            if _plain_signature(variant) == given:
                yield space.plain_module(variant)


def _variants(anchor: Contraction, constants: Sequence[int]) -> Iterator[Contraction]:
    """Yield the fused variants of an anchor, first those without zero points."""
    lefts, rights = (_zero_points(dtype, constants) for dtype in anchor.types)
    pairs = sorted(itertools.product(lefts, rights), key=all)
    for left, right in pairs:
        for out, bias, requant, act, residual in itertools.product(
            OUTPUT_TYPES, (0, 1), REQUANT, ACTIVATIONS, (0, 1)
        ):
            try:
                yield replace(
                    anchor, out=out, bias=bias, requant=requant, act=act, residual=residual,
                    lzp=left, rzp=right,
                )  # fmt: skip
            except WorkloadError:
                continue  # no such combination


def _zero_points(dtype: str, constants: Sequence[int]) -> list[int]:
    """Return the zero points of a type that a program with such constants may have, 0 first.

    Signed weights are multiplied as unsigned ones, 128 greater.
    """
    low, high = LIMITS[dtype]
    shifts = (0, 128) if low < 0 else (0,)
    found = {0, *(sign * one - by for one in constants for by in shifts for sign in (1, -1))}
    return sorted((one for one in found if low <= one <= high), key=lambda one: (abs(one), one))


def _constants(module: tvm.IRModule) -> list[int]:
    """Return the integers of a program that have up to three digits."""
    texts = re.findall(r"(?<![\w.])\d{1,3}(?![\w.])", module.script())
    return sorted(set(map(int, texts)))


def _signature_of(module: tvm.IRModule) -> _Signature:
    """Return what a program takes, its output last; empty if its shapes are not constant."""
    if "main" not in [one.name_hint for one in module.get_global_vars()]:
        return ()
    found = []
    for one in module["main"].params:
        shape = getattr(one, "shape", None)
        if shape is None or not all(isinstance(extent, tvm.tirx.IntImm) for extent in shape):
            return ()
        found.append((tuple(int(extent) for extent in shape), str(one.dtype)))
    return tuple(found)


def _plain_signature(workload: Workload) -> _Signature:
    operands = (*workload.operands, workload.output)
    return tuple((one.shape, one.numpy_type) for one in operands)


def _ends(signature: _Signature) -> tuple[object, ...]:
    """Return what all variants have in common: the activations, and the output's shape."""
    return (signature[0], signature[-1][0])
