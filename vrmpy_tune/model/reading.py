"""Reading the imported float graph: what stands behind a value, and what is constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from tvm import ir, relax

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tvm

NODES: Final = "vrmpy.nodes"
OPERATORS: Final = "vrmpy.operators"
"""Attributes of the float function: names of the nodes it comes from, and their operators."""


@dataclass(frozen=True)
class Step:
    """The operator that computes a value.

    Attributes
    ----------
    operator:
        Its name in Relax without ``relax.``, for example ``"nn.conv2d"``.
    name:
        The name of the ONNX node.
    arguments:
        Its tensors.
    attributes:
        Its attributes.
    node:
        Name and operator of the ONNX node that it is a part of, where it is not the whole node.
    """

    operator: str
    name: str
    arguments: tuple[Any, ...]
    attributes: Any
    node: tuple[str, str] | None = None

    def describe(self) -> str:
        """Return what messages call it."""
        name, operator = self.node or (self.name, plain_name(self.operator))
        return f"the node '{name}' ({operator})"


class Graph:
    """Values of the imported function ``main``, by variable."""

    def __init__(self, module: tvm.IRModule) -> None:
        self.main = module["main"]
        self.bindings = [one for block in self.main.body.blocks for one in block.bindings]
        self._bound = {one.var: one for one in self.bindings}
        attributes = self.main.attrs or {}
        self._nodes = dict(
            zip(attributes.get(NODES, ()), attributes.get(OPERATORS, ()), strict=True)
        )
        self._parts = self._parts_of_nodes()

    def _parts_of_nodes(self) -> dict[Any, str]:
        """Return the node that each variable is a part of, if it is not the node's result."""
        found: dict[Any, str] = {}
        for one in reversed(self.bindings):
            name = one.var.name if str(one.var.name) in self._nodes else found.get(one.var)
            if name is not None and isinstance(one.value, relax.Call):
                # Of several nodes that use a part, the first has it.
                found |= dict.fromkeys(_variables(one.value), str(name))
        return {variable: name for variable, name in found.items() if variable in self._bound}

    def step(self, value: Any) -> Step | None:
        """Return what computes a value: ``None`` for inputs and constants."""
        variable, call = self.variable(value), self.resolved(value)
        if not isinstance(call, relax.Call) or not isinstance(call.op, ir.Op):
            return None
        name = variable.name if isinstance(variable, relax.Var) else ""
        operator = call.op.name.removeprefix("relax.")
        owner = None if name in self._nodes else self._parts.get(variable)
        node = None if owner is None else (owner, str(self._nodes[owner]))
        return Step(operator, name, tuple(call.args), call.attrs, node)

    def constant(self, value: Any) -> np.ndarray | None:
        """Return the values of a constant; ``None`` if it is not one."""
        found = self.resolved(value)
        return np.asarray(found.value.numpy()) if isinstance(found, ir.GenericConst) else None

    def fields(self, value: Any) -> tuple[Any, ...]:
        """Return the fields of a tuple."""
        return tuple(self.resolved(value).fields)

    def variable(self, value: Any) -> Any:
        """Return the variable that a value was bound to first."""
        while isinstance(value, relax.Var) and value in self._bound:
            inner = self._bound[value].value
            if not isinstance(inner, relax.Var):
                break
            value = inner
        return value

    def resolved(self, value: Any) -> Any:
        """Return the expression that a value is bound to; inputs and constants are their own."""
        variable = self.variable(value)
        bound = isinstance(variable, relax.Var) and variable in self._bound
        return self._bound[variable].value if bound else variable


def _variables(call: Any) -> Iterator[Any]:
    for argument in call.args:
        fields = argument.fields if isinstance(argument, relax.Tuple) else (argument,)
        yield from (one for one in fields if isinstance(one, relax.Var))


def plain_name(operator: str) -> str:
    """Return what messages call an operator of Relax."""
    return operator.removeprefix("nn.")
