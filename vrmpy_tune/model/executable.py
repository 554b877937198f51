"""From a network and a schedule for each of its workloads to one object and its parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vrmpy_tune.model.building import build_kernels
from vrmpy_tune.model.plan import lifetimes, plan_memory
from vrmpy_tune.model.tables import build_tables, kernel_symbol
from vrmpy_tune.toolchain.network import network_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.compiler.choice import Choice
    from vrmpy_tune.model.building import BuiltKernel
    from vrmpy_tune.model.network import Network
    from vrmpy_tune.model.tables import Tables
    from vrmpy_tune.target import HexagonTarget


@dataclass(frozen=True)
class Executable:
    """A network as a device runs it.

    Attributes
    ----------
    tables:
        Its layers, arguments and parameters.
    kernels:
        The kernels, in the order of ``tables.kernels``.
    code:
        The object file's bytes.
    """

    tables: Tables
    kernels: tuple[BuiltKernel, ...]
    code: bytes = field(repr=False)


def build_executable(
    network: Network, choices: Sequence[Choice], target: HexagonTarget
) -> Executable:
    """Build the kernels, plan the memory, and link everything into one object.

    Parameters
    ----------
    choices:
        One for each distinct workload of the network.

    Raises
    ------
    BuildError
        If a kernel cannot be compiled.
    ModelError
        If a kernel takes more arguments than the executor passes.
    """
    built = {one.choice.workload: one for one in build_kernels(choices, target)}
    spaces = {workload: one.choice.space for workload, one in built.items()}
    tables = build_tables(network, plan_memory(lifetimes(network)), spaces)
    kernels = tuple(built[workload] for workload in tables.kernels)
    texts = {kernel_symbol(number): one.kernel.assembly for number, one in enumerate(kernels)}
    return Executable(tables, kernels, network_object(tables.as_c(), texts, target))
