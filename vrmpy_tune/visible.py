"""Text that a terminal shows and does not obey."""

from __future__ import annotations

import re
from typing import Final

_UNSEEN: Final = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tabs and ends of lines
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # other ends of lines, and other directions
    "\ud800-\udfff"  # bytes of file names that are no text
)
_CONTROLS: Final = re.compile(f"[{_UNSEEN}]")
_AND_LINES: Final = re.compile(f"[\\t\\n{_UNSEEN}]")


def visible(text: str) -> str:
    r"""Return a text with its control characters spelled out, as ``\u001b``; lines stay lines."""
    return _CONTROLS.sub(_spelled, text)


def in_one_line(text: str) -> str:
    r"""Return a text with control characters, tabs and ends of lines spelled out."""
    return _AND_LINES.sub(_spelled, text)


def _spelled(match: re.Match[str]) -> str:
    # What JSON has for them, so that a document stays one.
    return f"\\u{ord(match[0]):04x}"
