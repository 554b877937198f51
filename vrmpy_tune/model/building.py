"""The kernels of a network: each distinct workload is chosen and built once, side by side."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vrmpy_tune.toolchain.pool import CodegenPool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.compiler.choice import Choice
    from vrmpy_tune.compiler.kernel import Kernel
    from vrmpy_tune.target import HexagonTarget


@dataclass(frozen=True)
class BuiltKernel:
    """A workload's kernel.

    Attributes
    ----------
    choice:
        The schedule, and where it came from.
    kernel:
        What it became.
    """

    choice: Choice
    kernel: Kernel


def build_kernels(choices: Sequence[Choice], target: HexagonTarget) -> tuple[BuiltKernel, ...]:
    """Build the kernel of each choice, as many at once as there are cores.

    Raises
    ------
    BuildError
        If one cannot be compiled.
    """
    from vrmpy_tune.compiler.kernel import build_kernel

    cores = len(os.sched_getaffinity(0))
    with CodegenPool(cores) as pool, ThreadPoolExecutor(cores) as threads:

        def build(choice: Choice) -> BuiltKernel:
            workload, space = choice.workload, choice.space
            inputs, output = space.inputs(workload), space.output(workload)
            return BuiltKernel(
                choice, build_kernel(choice.schedule.mod, inputs, output, target, pool)
            )

        return tuple(threads.map(build, choices))
