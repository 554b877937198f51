"""Which toolchains make the same code of a schedule."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from vrmpy_tune.records.safe_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

DECIDING: Final = ("tvm", "tvm_ffi", "zig", "packets")
"""Parts of a toolchain that decide what code a schedule becomes."""


def toolchain_key(toolchain: Mapping[str, str]) -> str:
    """Return a short text that is equal for toolchains that make the same code.

    Toolchains that are equal altogether have equal keys.
    """
    deciding = {name: toolchain[name] for name in DECIDING if name in toolchain}
    return hashlib.sha256(canonical_json(deciding).encode("ascii")).hexdigest()[:16]
