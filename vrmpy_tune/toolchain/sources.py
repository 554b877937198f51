"""Hashes of our own source code, by which records name the version that made them.

Only code counts.  Comments and docstrings change without a change of what is generated, and a
record should not be another toolchain's because of them.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import vrmpy_tune
from vrmpy_tune.toolchain.cache import content_key

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(vrmpy_tune.__file__).parent

HASH_DIGITS: Final = 16
"""Hexadecimal digits that are kept: enough to tell versions of this project apart."""


@cache
def code_hash(*names: str, root: Path = ROOT) -> str:
    """Return a hash of the code in some of our files; it is computed once a process.

    Parameters
    ----------
    names:
        Python files, and directories of them, relative to ``root``.
    root:
        Where they are; this package by default.

    Returns
    -------
    str
        :data:`HASH_DIGITS` hexadecimal digits, the same under every version of Python.
    """
    files = sorted(file for name in names for file in _files(root / name))
    parts = []
    for file in files:
        parts += [file.relative_to(root).as_posix(), code_of(file.read_text("utf-8"))]
    return content_key(*parts)[:HASH_DIGITS]


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from path.rglob("*.py")
    else:
        yield path


def code_of(source: str) -> str:
    """Return a module's source without docstrings, blank lines and lines that are comments.

    The text of what is left does not change: how a later Python prints code may.
    """
    tree = ast.parse(source)
    dropped: set[int] = set()
    kept: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                dropped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
            case ast.Constant(value=str()) | ast.JoinedStr():
                # A line inside a text may look like a comment.
                kept.update(range(node.lineno + 1, (node.end_lineno or node.lineno) + 1))
    lines = []
    for number, line in enumerate(source.splitlines(), start=1):
        stripped = line.strip()
        is_code = bool(stripped) and not stripped.startswith("#")
        if number not in dropped and (is_code or number in kept):
            lines.append(line if number in kept else line.rstrip())
    return "\n".join(lines)
