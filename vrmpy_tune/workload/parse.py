"""From the text of a workload to the workload."""

from __future__ import annotations

import dataclasses
import re
from typing import Final

from vrmpy_tune.errors import WorkloadError
from vrmpy_tune.workload.base import Workload
from vrmpy_tune.workload.conv2d import Conv2d
from vrmpy_tune.workload.conversion import Dequantize, Quantize
from vrmpy_tune.workload.dense import Dense
from vrmpy_tune.workload.depthwise import DepthwiseConv2d
from vrmpy_tune.workload.elementwise import Clip, QuantizedAdd, QuantizedMultiply
from vrmpy_tune.workload.movement import Concat, Layout, Pad
from vrmpy_tune.workload.pooling import AvgPool2d, GlobalAvgPool2d, MaxPool2d

MAX_TEXT: Final = 1024
"""Longest workload text, in characters."""

OPERATORS: Final[dict[str, type[Workload]]] = {
    kind.operator: kind
    for kind in (
        Dense,
        Conv2d,
        DepthwiseConv2d,
        QuantizedAdd,
        QuantizedMultiply,
        Clip,
        MaxPool2d,
        AvgPool2d,
        GlobalAvgPool2d,
        Pad,
        Layout,
        Concat,
        Quantize,
        Dequantize,
    )
}
"""Every operator by name."""

_WORDS: Final = frozenset(("lhs", "rhs", "layout", "out", "requant", "act", "dtype", "to"))
"""Fields that hold a word."""

_LISTS: Final = frozenset(("stride", "dilation", "pad", "shape", "parts"))
"""Fields that may hold several numbers."""

_FIELD: Final = re.compile(r"([a-z_]+)=([a-z0-9x.+-]+)")


def parse_workload(text: str) -> Workload:
    """Parse a workload's text.

    Raises
    ------
    WorkloadError
        If the text is malformed or names an impossible operator; the message says which field,
        and which values it may have.
    """
    if len(text) > MAX_TEXT:
        raise WorkloadError(f"A workload's text has at most {MAX_TEXT} characters.")
    operator, colon, rest = text.strip().partition(":")
    if operator not in OPERATORS or not colon:
        known = " or ".join(f"'{name}:...'" for name in OPERATORS)
        raise WorkloadError(f"'{text[:80]}' is not a workload; it must begin with {known}.")
    kind = OPERATORS[operator]
    values: dict[str, object] = {}
    for item in rest.split(","):
        match = _FIELD.fullmatch(item.strip())
        if match is None:
            raise WorkloadError(f"{operator}: '{item[:40]}' is not of the form name=value.")
        name, value = match.groups()
        if name not in kind.fields:
            raise WorkloadError(
                f"{operator}: there is no field '{name}'; the fields are {', '.join(kind.fields)}."
            )
        if name in values:
            raise WorkloadError(f"{operator}: the field '{name}' is given twice.")
        values[name] = _parse_value(operator, name, value)
    required = [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.name not in values
    ]
    if required:
        raise WorkloadError(f"{operator}: {', '.join(required)} must be given.")
    return kind(**values)


def _parse_value(operator: str, name: str, value: str) -> object:
    if name in _WORDS:
        return value
    parts = value.split("x")
    if not all(re.fullmatch(r"-?[0-9]{1,18}", part) for part in parts):
        raise WorkloadError(f"{operator}: {name}={value} must be a whole number.")
    numbers = tuple(int(part) for part in parts)
    if len(numbers) == 1:
        return numbers[0]
    if name not in _LISTS:
        raise WorkloadError(f"{operator}: {name}={value} must be one whole number.")
    return numbers
