"""The kernels of an integer module: who makes a tensor, who uses it; and how to replace them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm import ir, relax

from vrmpy_tune.model.kernels import Kernel, emit_kernel, kernel_of, shape_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class KernelGraph:
    """The bindings of ``main``: kernels, and views of tensors in another shape.

    Attributes
    ----------
    main:
        The function.
    bindings:
        All bindings, in order.
    """

    def __init__(self, module: tvm.IRModule) -> None:
        self.main = module["main"]
        self.bindings = [one for block in self.main.body.blocks for one in block.bindings]
        self._values = {one.var: one.value for one in self.bindings}
        self._kernels = {one.var: kernel_of(one, module) for one in self.bindings}
        self._uses = Counter(
            used for one in self.bindings for used in relax.analysis.free_vars(one.value)
        )
        self._depths: dict[Any, int] = {}
        for one in self.bindings:
            used = relax.analysis.free_vars(one.value)
            self._depths[one.var] = 1 + max((self._depths.get(var, 0) for var in used), default=0)

    def kernel(self, value: Any) -> Kernel | None:
        """Return the kernel that makes a tensor; ``None`` for inputs, constants and views."""
        return self._kernels.get(value) if isinstance(value, relax.Var) else None

    def viewed(self, value: Any) -> Any | None:
        """Return the tensor that a value is a view of; ``None`` if it is none."""
        bound = self._values.get(value) if isinstance(value, relax.Var) else None
        if not isinstance(bound, relax.Call) or bound.op != ir.Op.get("relax.reshape"):
            return None
        return bound.args[0]

    def used_once(self, value: Any) -> bool:
        """Whether a tensor has one use, which may be that it is returned."""
        return bool(self._uses[value] == 1)

    def depth(self, value: Any) -> int:
        """Return how many bindings stand between the inputs and a tensor, at most."""
        return self._depths.get(value, 0)

    def live(self, replacements: dict[Any, Kernel]) -> set[Any]:
        """Return the variables that results depend on once kernels are replaced."""
        found = set(relax.analysis.free_vars(self.main.body.body))
        for one in reversed(self.bindings):
            if one.var in found:
                new = replacements.get(one.var)
                sources = new.operands if new else (one.value,)
                for source in sources:
                    if not isinstance(source, np.ndarray):
                        found.update(relax.analysis.free_vars(source))
        return found

    def kernels(self) -> Iterator[tuple[Any, Kernel]]:
        """Yield each kernel's result and the kernel."""
        for variable, kernel in self._kernels.items():
            if kernel is not None:
                yield variable, kernel


def replace_kernels(
    module: tvm.IRModule, graph: KernelGraph, replacements: dict[Any, Kernel]
) -> tvm.IRModule:
    """Return a module in which some kernels are replaced by others with the same result.

    Kernels whose results are no longer used are gone.

    Parameters
    ----------
    graph:
        The module's kernels.
    replacements:
        Kernels by the variable of their results; operands are those of ``graph``.
    """
    builder = relax.BlockBuilder()
    new: dict[Any, Any] = {}
    live = graph.live(replacements)

    def current(value: Any) -> Any:
        return new.get(value, value) if isinstance(value, relax.Var) else value

    main = graph.main
    with builder.function("main", list(main.params), attrs=dict(main.attrs.items())):
        with builder.dataflow():
            for variable in (one.var for one in graph.bindings if one.var in live):
                kernel = replacements.get(variable) or graph.kernel(variable)
                source = graph.viewed(variable)
                if kernel is not None:
                    operands = [current(one) for one in kernel.operands]
                    new[variable] = emit_kernel(builder, kernel.name, kernel.workload, operands)
                elif source is not None:
                    view = relax.op.reshape(current(source), shape_of(variable))
                    new[variable] = builder.emit(view, name_hint=variable.name)
                else:
                    new[variable] = _alias(graph, variable, current)
            output = builder.emit_output(current(main.body.body))
        builder.emit_func_output(output)
    return builder.get()


def kernel_pass(
    name: str,
) -> Callable[[Callable[[KernelGraph], dict[Any, Kernel]]], tvm.transform.Pass]:
    """Make a pass of a function that says which kernels of a graph are replaced.

    Parameters
    ----------
    name:
        The pass's name.
    """

    def made(find: Callable[[KernelGraph], dict[Any, Kernel]]) -> tvm.transform.Pass:
        def run(module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
            graph = KernelGraph(module)
            return replace_kernels(module, graph, find(graph))

        return tvm.transform.module_pass(run, opt_level=0, name=name)

    return made


def _alias(graph: KernelGraph, variable: Any, current: Callable[[Any], Any]) -> Any:
    """Return what a variable that only renames others stands for."""
    bound = next(one.value for one in graph.bindings if one.var.same_as(variable))
    if isinstance(bound, relax.Tuple):
        return relax.Tuple([current(one) for one in bound.fields])
    return current(bound)
