"""Which toolchains make the same code of a schedule, and in what others differ."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from vrmpy_tune.records.safe_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

MEASURING: Final = frozenset({"qemu"})
"""Parts of a toolchain that decide the figure of a kernel, but not its code."""


def makes_same_code(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Return whether two toolchains make the same code of the same trace.

    They may have measured it with different versions of the simulator.
    """
    return deciding_code(one) == deciding_code(other)


def differences(stored: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Return in words in what a stored toolchain differs from the one at hand.

    What measured is compared only if both name it: where nothing is measured, nobody knows it.

    Returns
    -------
    str
        ``"tvm 0.26, here 0.27; zig unknown, here 0.17.1"``, empty if nothing differs.
    """
    names = {*stored, *here} - MEASURING | (MEASURING & stored.keys() & here.keys())
    return "; ".join(
        f"{name} {stored.get(name, 'unknown')}, here {here.get(name, 'none')}"
        for name in sorted(names)
        if stored.get(name) != here.get(name)
    )


def deciding_code(toolchain: Mapping[str, str]) -> dict[str, str]:
    """Return the parts of a toolchain that decide what code a trace becomes."""
    return {name: value for name, value in toolchain.items() if name not in MEASURING}


def toolchain_key(toolchain: Mapping[str, str]) -> str:
    """Return a short text that is equal for toolchains that make the same code.

    Databases store it: whoever changes it writes a migration of the tables, too.
    """
    text = canonical_json(deciding_code(toolchain))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]
