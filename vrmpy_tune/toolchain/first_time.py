"""The work that is done once per machine: musl, the runtime for every target, the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vrmpy_tune.target import TARGETS
from vrmpy_tune.toolchain.cache import BuildCache, cache_directory
from vrmpy_tune.toolchain.runtime import (
    runtime_object,
    timing_simulator,
    trace_plugin,
    watch_plugin,
)
from vrmpy_tune.toolchain.sysroot import build_sysroot, find_sysroot

if TYPE_CHECKING:
    from collections.abc import Callable


def runtime_cache() -> BuildCache:
    """Return the cache of what first-time work builds: a few files, never pruned."""
    return BuildCache(cache_directory() / "runtime")


def executable_cache() -> BuildCache:
    """Return the cache of linked candidates."""
    return BuildCache(cache_directory() / "executables")


def first_time_setup(progress: Callable[[str], None]) -> None:
    """Build whatever is missing; at once when nothing is.

    Parameters
    ----------
    progress:
        Gets a sentence at the start of each step that takes time.

    Raises
    ------
    ToolchainError
        If a part cannot be built.
    """
    build_sysroot(progress)
    products = runtime_cache()
    for target in TARGETS.values():
        if target.qemu_cpu:
            runtime_object(target, products, progress)
    watch_plugin(products, progress)
    trace_plugin(1, products, progress)
    timing_simulator(products, progress)


def is_set_up() -> bool:
    """Whether the part that takes more than a minute has been done."""
    return find_sysroot() is not None
