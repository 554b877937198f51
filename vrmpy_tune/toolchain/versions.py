"""Which versions of the toolchain are installed, without importing any of them."""

from __future__ import annotations

import importlib.metadata
import re
from typing import Final

from vrmpy_tune.errors import ToolchainError

DISTRIBUTIONS: Final = {
    "tvm": "apache-tvm",
    "tvm_ffi": "apache-tvm-ffi",
    "ziglang": "ziglang",
    "xgboost": "xgboost-cpu",
    "numpy": "numpy",
}
"""Name of each part, and of the distribution that it comes from."""

PINNED: Final = {
    "tvm": "0.27.0.post1",
    "tvm_ffi": "0.1.14.post1",
    "ziglang": "0.17.1",
}
"""Versions that this package is written against; those of ``pyproject.toml``."""

_GOOD_TVM_FFI: Final = re.compile(r"0\.1\.14\.post\d+")
"""With 0.1.15.post1 and .post2, ``Schedule.tensorize`` segfaults; 0.1.14.post0 and .post1 work."""


def installed_version(part: str) -> str | None:
    """Return the installed version of a part, or ``None``.

    Parameters
    ----------
    part:
        A key of :data:`DISTRIBUTIONS`.
    """
    names = [DISTRIBUTIONS[part]]
    if part == "xgboost":
        names.append("xgboost")
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def toolchain_versions() -> dict[str, str]:
    """Return the installed version of every part, ``"missing"`` for those that are not."""
    return {part: installed_version(part) or "missing" for part in DISTRIBUTIONS}


def pip_command(part: str) -> str:
    """Return the command that installs the version of ``part`` this package is written against."""
    pinned = PINNED.get(part)
    requirement = DISTRIBUTIONS[part] + (f"=={pinned}" if pinned else "")
    return f"pip install '{requirement}'"


def require_toolchain() -> None:
    """Refuse to go on with a TVM that would crash later.

    Raises
    ------
    ToolchainError
        If TVM or tvm-ffi is missing, or tvm-ffi is a version with which tensorization segfaults.
        The message names the command that mends it.
    """
    if installed_version("tvm") is None:
        raise ToolchainError(f"TVM is not installed. Run: {pip_command('tvm')}")
    found = installed_version("tvm_ffi")
    if found is None or not _GOOD_TVM_FFI.fullmatch(found):
        what = "is not installed" if found is None else f"has version {found}, which is wrong"
        raise ToolchainError(
            f"apache-tvm-ffi {what}: with any version but 0.1.14.post* tensorization segfaults. "
            f"Run: {pip_command('tvm_ffi')}"
        )
