"""JSON from strangers: data only, within limits, and one canonical text for each value.

Nothing here evaluates, unpickles or opens anything.  What passes is a tree of plain values that any
later code can walk without recursion trouble, store in any database, and print on any terminal.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final, TypeAlias

from vrmpy_tune.errors import RecordFormatError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAX_LINE_BYTES: Final = 4 << 20
"""Longest line of a record file; a trace of 1,000 instructions takes about 100 kB."""

MAX_DEPTH: Final = 64
"""Deepest nesting; TVM's traces use at most about ten levels."""

MAX_INTEGER: Final = (1 << 63) - 1
"""Largest magnitude of an integer: what TVM, SQLite and PostgreSQL hold."""

_UNSAFE: Final = re.compile("[\x00\ud800-\udfff]")
"""NUL is refused by PostgreSQL, and lone surrogates cannot be written as UTF-8."""


def canonical_json(value: object) -> str:
    """Return the one compact text of a JSON value: sorted keys, no spaces, ASCII.

    TVM's ``IntImm`` and ``FloatImm``, which traces contain, are written as plain numbers.

    Raises
    ------
    RecordFormatError
        If the value holds something that is not data.
    """
    try:
        return json.dumps(
            value,
            separators=(",", ":"),
            sort_keys=True,
            allow_nan=False,
            default=_plain_number,
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordFormatError(f"This value cannot be written as JSON: {error}.") from error


def parse_json(text: str | bytes) -> Json:
    """Parse untrusted JSON.

    Raises
    ------
    RecordFormatError
        If it is not JSON, or exceeds a limit of this module.
    """
    if len(text) > MAX_LINE_BYTES:
        raise RecordFormatError(
            f"The text has {len(text):,} bytes; the limit is {MAX_LINE_BYTES:,}."
        )
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        value = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates
        )
    except RecursionError:
        raise RecordFormatError(
            f"The text is nested deeper than {MAX_DEPTH} levels, the limit."
        ) from None
    except UnicodeDecodeError:
        raise RecordFormatError("The text is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise RecordFormatError(
            f"The text is not JSON: {error.msg} at column {error.colno}."
        ) from None
    except ValueError:
        # Python refuses to convert integers of more than 4,300 digits.
        raise RecordFormatError("The text holds a number that is out of range.") from None
    check_limits(value)
    checked: Json = value
    return checked


def check_limits(value: object) -> None:
    """Raise :class:`RecordFormatError` unless ``value`` is plain data within the limits."""
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH:
            raise RecordFormatError(
                f"The text is nested deeper than {MAX_DEPTH} levels, the limit."
            )
        level, depth = _children(level), depth + 1


def _children(items: list[object]) -> list[object]:
    """Return what is nested in the items, which are checked.

    Traces have hundreds of small items: the usual ones are passed without a call.
    """
    nested: list[object] = []
    for item in items:
        kind = type(item)
        if kind is int:
            if not -MAX_INTEGER <= item <= MAX_INTEGER:  # type: ignore[operator]
                _check_scalar(item)
        elif kind is str:
            if not item.isascii() or "\0" in item:  # type: ignore[attr-defined,operator]
                _check_scalar(item)
        elif isinstance(item, list):
            nested += item
        elif isinstance(item, dict):
            for key in item:
                _check_scalar(key)
            nested += item.values()
        else:
            _check_scalar(item)
    return nested


def _check_scalar(item: object) -> None:
    if isinstance(item, str):
        if _UNSAFE.search(item):
            raise RecordFormatError("A text holds NUL or an unpaired surrogate.")
    elif isinstance(item, int):
        if not -MAX_INTEGER <= item <= MAX_INTEGER:
            raise RecordFormatError("A number is out of the range of 64-bit integers.")
    elif isinstance(item, float):
        if not math.isfinite(item):
            raise RecordFormatError("A number is out of the range of 64-bit floating point.")
    elif item is not None:
        raise RecordFormatError(f"A {type(item).__name__} is not data.")


def _plain_number(value: object) -> int | float:
    number = getattr(value, "value", None)
    if isinstance(number, int | float):
        return number
    raise TypeError(f"a {type(value).__name__} is not data")


def _refuse_constant(name: str) -> None:
    raise RecordFormatError(f"The text holds {name}, which is not a number.")


def _refuse_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise RecordFormatError("An object holds the same field twice.")
    return fields
