"""Facts about Hexagon assembly text."""

from __future__ import annotations

import re
from typing import Final

_MULTIPLY: Final = re.compile(r"\bv(?:rmpy|dmpy)[a-z]*\s*\(")
"""An instruction of the vrmpy family as LLVM prints it: ``v0.uw += vrmpy(v1.ub,r2.ub)``."""

_COMMENT: Final = re.compile(r"//.*")
_SECTION: Final = re.compile(r"\s*\.(?:section\s+(?P<name>[^,\s]+)|text\b|data\b|bss\b)")
_LINE_TABLE: Final = re.compile(r"\s*\.(?:loc|file)\s")


def count_multiplies(assembly: str) -> int:
    """Count the instructions of the vrmpy family (``vrmpy``, ``vdmpy``) in assembly text."""
    return sum(len(_MULTIPLY.findall(_COMMENT.sub("", line))) for line in assembly.splitlines())


def without_debug(assembly: str) -> str:
    """Return assembly text without debug sections and line tables.

    TVM's debug information names variables and source columns, so that equal code would not
    give equal objects.
    """
    kept: list[str] = []
    in_debug = False
    for line in assembly.splitlines(keepends=True):
        section = _SECTION.match(line)
        if section:
            in_debug = (section["name"] or "").strip('"').startswith(".debug")
        if not in_debug and not _LINE_TABLE.match(line):
            kept.append(line)
    return "".join(kept)
