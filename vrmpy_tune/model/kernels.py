"""Calls of workloads in an integer module: how passes write them, and how they read them.

A kernel is ``R.call_tir`` of a function that carries its workload's text; equal workloads share one
function.  Its arguments are the workload's operands, constants among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from tvm import ir, relax

from vrmpy_tune.compiler.naive import naive_module
from vrmpy_tune.model.network import WORKLOAD
from vrmpy_tune.workload import Workload, parse_workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tvm


@dataclass(frozen=True)
class Kernel:
    """One call.

    Attributes
    ----------
    name:
        The layer's name: that of the ONNX node.
    workload:
        What is computed.
    operands:
        Expressions in the order of ``workload.operands``.
    """

    name: str
    workload: Workload
    operands: tuple[Any, ...]

    def operand(self, name: str) -> Any:
        """Return the expression of an operand by its name."""
        return dict(zip(self._names, self.operands, strict=True))[name]

    def constant(self, name: str) -> np.ndarray:
        """Return the values of a constant operand."""
        return np.asarray(self.operand(name).value.numpy())

    def having(self, workload: Workload, **changed: np.ndarray) -> Kernel:
        """Return the kernel with another workload of the same operands, some of them changed."""
        operands = dict(zip(self._names, self.operands, strict=True)) | changed
        return Kernel(self.name, workload, tuple(operands.values()))

    @property
    def _names(self) -> list[str]:
        return [one.name for one in self.workload.operands]


def emit_kernel(
    builder: relax.BlockBuilder, name: str, workload: Workload, operands: Sequence[Any]
) -> Any:
    """Write a call and return its result.

    Parameters
    ----------
    name:
        The layer's name.
    operands:
        In the order of ``workload.operands``: expressions, or arrays that become constants.
    """
    arguments = []
    for specification, operand in zip(workload.operands, operands, strict=True):
        if isinstance(operand, np.ndarray):
            if operand.shape != specification.shape:
                raise AssertionError(f"{name}: {specification} got {operand.shape}")
            constant = np.ascontiguousarray(operand, specification.numpy_type)
            arguments.append(relax.const(constant))
        else:
            arguments.append(_viewed(builder, operand, specification.shape))
    function = builder.add_func(_function(workload), workload.operator)
    output = relax.TensorType(workload.output.shape, workload.output.numpy_type)
    return bind(builder, name, relax.call_tir(function, arguments, output))


def bind(builder: relax.BlockBuilder, name: str, value: Any) -> Any:
    """Bind a value to a variable of just that name, which the builder would change."""
    normal = builder.normalize(value)
    variable = relax.DataflowVar(name, normal.ty)
    builder.emit_normalized(relax.VarBinding(variable, normal))
    return variable


def kernel_of(binding: Any, module: tvm.IRModule) -> Kernel | None:
    """Return the call that a binding makes; ``None`` if it makes none."""
    call = binding.value
    if not isinstance(call, relax.Call) or call.op != ir.Op.get("relax.call_tir"):
        return None
    text = module[call.args[0]].attrs[WORKLOAD]
    return Kernel(binding.var.name, parse_workload(str(text)), tuple(call.args[1]))


def shape_of(expression: Any) -> tuple[int, ...]:
    """Return the static shape of an expression."""
    return tuple(int(extent) for extent in expression.ty.shape)


def _viewed(builder: relax.BlockBuilder, operand: Any, shape: tuple[int, ...]) -> Any:
    """Return the operand with a shape of as many elements; the bytes stay where they are."""
    if shape_of(operand) == shape:
        return operand
    return builder.emit(relax.op.reshape(operand, shape), name_hint="view")


@cache
def _function(workload: Workload) -> Any:
    function = naive_module(workload)["main"]
    return function.without_attr("global_symbol").with_attr(WORKLOAD, str(workload))
