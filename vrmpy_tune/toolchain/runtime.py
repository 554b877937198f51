"""The on-device runtime as one object per target, QEMU's plugins, and the timing simulator.

Both are built from C sources inside this package and kept in the build cache under the hash of all
that went into them, so that a changed source is compiled again and an unchanged one never is.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import BuildError, ToolchainError
from vrmpy_tune.process import ProcessLimits, run_limited
from vrmpy_tune.toolchain.cache import BuildCache, cache_directory, content_key
from vrmpy_tune.toolchain.link import link_relocatable
from vrmpy_tune.toolchain.locked import locked
from vrmpy_tune.toolchain.versions import installed_version
from vrmpy_tune.toolchain.zig import compile_c, zig_program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vrmpy_tune.target import HexagonTarget

_SOURCES: Final = Path(__file__).parent.parent / "device"
_RUNTIME_FLAGS: Final = (
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fno-builtin",  # or memset's loop would become a call of memset
    "-fno-strict-aliasing",  # memory functions read any type as vectors
    "-fno-asynchronous-unwind-tables",
)
_HOST_LIMITS: Final = ProcessLimits(wall_s=600.0)


@cache
def tvm_ffi_include() -> Path:
    """Return the directory of tvm-ffi's C headers, without importing tvm-ffi.

    Raises
    ------
    ToolchainError
        If tvm-ffi is not installed.
    """
    spec = importlib.util.find_spec("tvm_ffi")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        include = Path(location) / "include"
        if (include / "tvm" / "ffi" / "c_api.h").is_file():
            return include
    raise ToolchainError(
        "The C headers of tvm-ffi are missing. Run: pip install 'apache-tvm-ffi==0.1.14.post1'"
    )


def runtime_object(
    target: HexagonTarget, cache: BuildCache, progress: Callable[[str], None] = lambda _: None
) -> Path:
    """Return the runtime's object file for ``target``, built now unless it exists.

    Raises
    ------
    ToolchainError
        If it does not compile.
    """
    sources = sorted((_SOURCES / "runtime").glob("*.c"))
    key = _key(["runtime"], target.arch, installed_version("tvm_ffi") or "", *_RUNTIME_FLAGS)

    def build(directory: Path) -> Path:
        flags: list[str | Path] = [*_RUNTIME_FLAGS, "-I", tvm_ffi_include()]
        objects = [directory / f"{source.stem}.o" for source in sources]
        for source, object_file in zip(sources, objects, strict=True):
            compile_c(source, target, object_file, flags)
        merged = directory / "runtime.o"
        link_relocatable(objects, merged)
        return merged

    return _built(cache, key, f"Building the runtime for {target.name}", build, progress)


def watch_plugin(cache: BuildCache, progress: Callable[[str], None] = lambda _: None) -> Path:
    """Return the QEMU plugin that watches kernels, built now unless it exists.

    Raises
    ------
    ToolchainError
        If it does not compile.
    """
    return _host_product(_WATCH, (), "Building the QEMU plugin", cache, progress)


def trace_plugin(
    api: int, cache: BuildCache, progress: Callable[[str], None] = lambda _: None
) -> Path:
    """Return the QEMU plugin that writes traces, built now unless it exists.

    Parameters
    ----------
    api:
        QEMU's version of its plugin interface: 1 up to QEMU 8.1, then more.

    Raises
    ------
    ToolchainError
        If it does not compile.
    """
    flags = (f"-DQEMU_PLUGIN_VERSION={api}",)
    return _host_product(_TRACE, flags, "Building the QEMU trace plugin", cache, progress)


def timing_simulator(cache: BuildCache, progress: Callable[[str], None] = lambda _: None) -> Path:
    """Return the program that estimates the time of traces, built now unless it exists.

    Raises
    ------
    ToolchainError
        If it does not compile.
    """
    return _host_product(_SIMULATOR, (), "Building the timing simulator", cache, progress)


@dataclass(frozen=True)
class _HostProduct:
    """A plugin or program for this machine, made of C sources of this package.

    Attributes
    ----------
    name:
        Of the file that the compiler writes.
    folder:
        Whose C files are compiled.
    includes:
        Folders whose headers they use.
    flags:
        Flags of the compiler.
    """

    name: str
    folder: str
    includes: tuple[str, ...]
    flags: tuple[str, ...]


_HOST_FLAGS: Final = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Wl,-s")
_PLUGIN_FLAGS: Final = ("-shared", "-fPIC", *_HOST_FLAGS)
_WATCH: Final = _HostProduct("watch.so", "plugin", ("plugin", "runtime"), _PLUGIN_FLAGS)
_TRACE: Final = _HostProduct(
    "trace.so", "timing/trace", ("plugin", "runtime", "timing/trace"), _PLUGIN_FLAGS
)
_SIMULATOR: Final = _HostProduct(
    "simulator", "timing/simulator", ("runtime", "timing/trace", "timing/simulator"), _HOST_FLAGS
)


def _host_product(
    product: _HostProduct,
    flags: tuple[str, ...],
    purpose: str,
    cache: BuildCache,
    progress: Callable[[str], None],
) -> Path:
    includes = [f"-I{_SOURCES / folder}" for folder in product.includes]

    def build(directory: Path) -> Path:
        target = directory / product.name
        # zig cc keeps a cache; a private one never waits for another process.
        environment = {
            "ZIG_GLOBAL_CACHE_DIR": str(directory),
            "ZIG_LOCAL_CACHE_DIR": str(directory),
            "PATH": os.environ.get("PATH", ""),
        }
        sources = sorted((_SOURCES / product.folder).glob("*.c"))
        finished = run_limited(
            [zig_program(), "cc", *product.flags, *flags, *includes, *sources, "-o", target],
            _HOST_LIMITS,
            environment=environment,
        )
        if not finished.succeeded:
            raise BuildError(finished.error_text[-500:])
        return target

    folders = sorted({product.folder, *product.includes})
    return _built(cache, _key(folders, *product.flags, *flags), purpose, build, progress)


def _key(folders: Sequence[str], *rest: str) -> str:
    sources = [path for one in folders for path in sorted((_SOURCES / one).glob("*.[ch]"))]
    contents = [part for path in sources for part in (path.name.encode(), path.read_bytes())]
    return content_key(*folders, installed_version("ziglang") or "", *rest, *contents)


def _built(
    cache: BuildCache,
    key: str,
    purpose: str,
    build: Callable[[Path], Path],
    progress: Callable[[str], None],
) -> Path:
    """Return the cached product of ``build``, which is run at most once at a time."""
    found = cache.find(key)
    if found:
        return found
    with locked(cache_directory() / "runtime.lock"):
        found = cache.find(key)
        if found:
            return found
        progress(purpose)
        with tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as directory:
            try:
                product = build(Path(directory))
            except BuildError as error:
                raise ToolchainError(
                    f"{purpose} failed: {error} The C sources belong to this package, "
                    "so the toolchain is probably not the pinned one; run: vrmpy-tune doctor"
                ) from error
            return cache.add(key, product.read_bytes())
