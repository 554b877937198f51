"""musl and compiler-rt for Hexagon, built once.

``zig cc`` builds both when it first links something, which takes a minute or more.  The
archives are then copied next to the other products of first-time work, so that later links need LLD
alone.  They are built for v66, the oldest target, and serve all.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import ToolchainError
from vrmpy_tune.process import ProcessLimits, run_limited
from vrmpy_tune.toolchain.cache import cache_directory, content_key
from vrmpy_tune.toolchain.locked import locked
from vrmpy_tune.toolchain.versions import installed_version
from vrmpy_tune.toolchain.zig import zig_program

if TYPE_CHECKING:
    from collections.abc import Callable

_FLAGS: Final = ("-target", "hexagon-linux-musl", "-mcpu=hexagonv66")
_PROGRAM: Final = "int main(void) { return 0; }\n"
_LIMITS: Final = ProcessLimits(wall_s=1800.0)
_ZIG_VARIABLES: Final = (
    "HOME",
    "PATH",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "ZIG_GLOBAL_CACHE_DIR",
    "ZIG_LOCAL_CACHE_DIR",
)


@dataclass(frozen=True)
class Sysroot:
    """What a static Hexagon executable is linked with besides its own objects.

    Attributes
    ----------
    start:
        Start-up object.
    archives:
        Libraries, in link order.
    """

    start: Path
    archives: tuple[Path, ...]


def find_sysroot() -> Sysroot | None:
    """Return the sysroot if it has been built."""
    directory = _directory()
    names = directory / "order"
    if not names.is_file():
        return None
    start, *archives = (directory / name for name in names.read_text().split())
    return Sysroot(start, tuple(archives))


def build_sysroot(progress: Callable[[str], None]) -> Sysroot:
    """Return the sysroot, built now unless it exists.

    Raises
    ------
    ToolchainError
        If zig fails to build it.
    """
    directory = _directory()
    with locked(directory.with_suffix(".lock")):
        found = find_sysroot()
        if found:
            return found
        progress("Building musl for Hexagon (once, about 75 s)")
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".new-") as temporary:
            staging = Path(temporary) / "sysroot"
            staging.mkdir()
            names = []
            for source in _link_inputs(Path(temporary)):
                shutil.copyfile(source, staging / source.name)
                names.append(source.name)
            # Written last: the directory counts only with it.
            (staging / "order").write_text("\n".join(names))
            shutil.rmtree(directory, ignore_errors=True)
            staging.rename(directory)
    found = find_sysroot()
    if found is None:
        raise ToolchainError(f"The sysroot in {directory} vanished while it was being built.")
    return found


def _directory() -> Path:
    key = content_key(installed_version("ziglang") or "", *_FLAGS)[:16]
    return cache_directory() / f"sysroot-{key}"


def _link_inputs(directory: Path) -> list[Path]:
    """Link a program with ``zig cc`` and return the library files on its link line, in order."""
    (directory / "main.c").write_text(_PROGRAM)
    command: list[str | Path] = [
        zig_program(),
        "cc",
        *_FLAGS,
        "-O2",
        "-static",
        "--verbose",
        "main.c",
        "-o",
        "main",
    ]
    environment = {name: os.environ[name] for name in _ZIG_VARIABLES if name in os.environ}
    if not {"HOME", "XDG_CACHE_HOME"} & environment.keys():
        environment.setdefault("ZIG_GLOBAL_CACHE_DIR", str(cache_directory() / "zig"))
    finished = run_limited(command, _LIMITS, environment=environment, directory=directory)
    links = [line for line in finished.error_text.splitlines() if line.startswith("ld.lld ")]
    if not finished.succeeded or not links:
        raise ToolchainError(
            f"zig could not build musl for Hexagon: it {finished.describe()} and said: "
            f"{finished.error_text[-500:]}. Remove zig's cache (~/.cache/zig) and try again."
        )
    files = [Path(word) for word in shlex.split(links[-1])[1:] if word.endswith((".o", ".a"))]
    start = [path for path in files if path.name == "crt1.o"]
    archives = [path for path in files if path.suffix == ".a"]
    if len(start) != 1 or not archives:
        raise ToolchainError(
            f"zig's link line names no start-up object or no library: {links[-1]}. "
            "This package knows ziglang 0.17.1; run: pip install ziglang==0.17.1"
        )
    return start + archives
