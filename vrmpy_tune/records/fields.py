"""Typed reading of one JSON object's fields, with errors that name the field."""

from __future__ import annotations

import re
from typing import Final

from vrmpy_tune.errors import RecordFormatError
from vrmpy_tune.measurement import METRICS
from vrmpy_tune.records.safe_json import MAX_INTEGER, Json

_PAIR: Final = r"\w{1,64}=[\w.+-]{1,64}"

WORKLOAD: Final = re.compile(rf"[a-z]\w{{0,63}}(:{_PAIR}(,{_PAIR}){{0,63}})?", re.ASCII)
TARGET: Final = re.compile(r"hexagon-v\d{2,3}", re.ASCII)
SPACE: Final = re.compile(r"[A-Za-z]\w{0,63}([./-]\w{1,64}){0,7}", re.ASCII)
GENERATOR: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
SHA256: Final = re.compile(r"[0-9a-f]{64}")
LINE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,400}")
"""Text that is safe to print: no control characters, so no terminal escapes."""


class Fields:
    """The fields of one JSON object; every reader consumes one field.

    Parameters
    ----------
    value:
        A parsed JSON value; anything but an object is refused.
    noun:
        What the object is, for error messages (``"record"``).
    """

    def __init__(self, value: Json, noun: str) -> None:
        if not isinstance(value, dict):
            raise RecordFormatError(f"A {noun} is a JSON object, not {_kind(value)}.")
        self._left = dict(value)
        self._noun = noun

    def any(self, name: str) -> Json:
        """Return the field's value, whatever its type."""
        try:
            return self._left.pop(name)
        except KeyError:
            raise RecordFormatError(f"The {self._noun} lacks the field '{name}'.") from None

    def text(self, name: str, pattern: re.Pattern[str] = LINE) -> str:
        """Return a text that matches ``pattern`` as a whole."""
        value = self.any(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text", value)
        if not pattern.fullmatch(value):
            raise RecordFormatError(
                f"The {self._noun}'s field '{name}' has a malformed value: {value[:80]!a}."
            )
        return value

    def metric(self, name: str) -> str:
        """Return the name of a metric that this version can rank by."""
        value = self.text(name)
        if value not in METRICS:
            raise RecordFormatError(
                f"The {self._noun} has the metric {value[:80]!a}, which this version of "
                f"vrmpy-tune does not know. It knows {', '.join(METRICS)}."
            )
        return value

    def integer(self, name: str, minimum: int = 0) -> int:
        """Return an integer from ``minimum`` to 2**63 - 1."""
        return self._integer(name, self.any(name), minimum)

    def optional_integer(self, name: str) -> int | None:
        """Return an integer, or None for null."""
        value = self.any(name)
        return None if value is None else self._integer(name, value, -MAX_INTEGER)

    def integers(self, name: str) -> tuple[int, ...]:
        """Return a list of 1 to 64 integers, none negative."""
        value = self.any(name)
        if not isinstance(value, list) or not 1 <= len(value) <= 64:
            raise self._wrong(name, "a list of 1 to 64 integers", value)
        return tuple(self._integer(name, item, 0) for item in value)

    def boolean(self, name: str) -> bool:
        """Return true or false."""
        value = self.any(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of at most 64 texts of one line each."""
        value = self.any(name)
        if not isinstance(value, list) or len(value) > 64:
            raise self._wrong(name, "a list of at most 64 texts", value)
        return tuple(self._line(name, item) for item in value)

    def text_map(self, name: str) -> dict[str, str]:
        """Return an object of at most 64 texts of one line each."""
        value = self.any(name)
        if not isinstance(value, dict) or len(value) > 64:
            raise self._wrong(name, "an object of at most 64 texts", value)
        return {self._line(name, key): self._line(name, value[key]) for key in sorted(value)}

    def integer_map(self, name: str) -> dict[str, int]:
        """Return an object of at most 64 integers by texts of one line, none negative."""
        value = self.any(name)
        if not isinstance(value, dict) or len(value) > 64:
            raise self._wrong(name, "an object of at most 64 integers", value)
        return {self._line(name, k): self._integer(name, value[k], 0) for k in sorted(value)}

    def end(self) -> None:
        """Refuse the fields that nobody asked for: to drop them would lose data."""
        if self._left:
            raise RecordFormatError(
                f"The {self._noun} has the unknown field {min(self._left)[:80]!a}. "
                "If a newer vrmpy-tune wrote it, upgrade: pip install -U vrmpy-tune."
            )

    def _integer(self, name: str, value: Json, minimum: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "an integer", value)
        if not minimum <= value <= MAX_INTEGER:
            raise RecordFormatError(
                f"The {self._noun}'s field '{name}' is out of range: it is at least {minimum}."
            )
        return value

    def _line(self, name: str, value: Json) -> str:
        if not isinstance(value, str) or not LINE.fullmatch(value):
            raise self._wrong(name, "made of texts of one line", value)
        return value

    def _wrong(self, name: str, wanted: str, value: Json) -> RecordFormatError:
        return RecordFormatError(
            f"The {self._noun}'s field '{name}' is {wanted}, not {_kind(value)}."
        )


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}
    return names.get(type(value), "a number")
