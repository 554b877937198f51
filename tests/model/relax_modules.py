"""Integer modules made by hand, as the rewrite makes them."""

from __future__ import annotations

import json
from typing import Any

import tvm
from tvm import relax

from vrmpy_tune.compiler.naive import naive_module
from vrmpy_tune.model.network import INTERFACE, WORKLOAD, Network
from vrmpy_tune.workload import Workload


def module_of(network: Network, *, flatten_last: bool = False) -> tvm.IRModule:
    """Return the module of a network; ``flatten_last`` puts a reshape before the last layer."""
    builder = relax.BlockBuilder()
    values: dict[str, Any] = {
        port.tensor: relax.Var(
            port.tensor, relax.TensorType(port.integer_shape, port.integer_dtype)
        )
        for port in network.inputs
    }
    functions: dict[Workload, Any] = {}
    ports = {"inputs": network.inputs, "outputs": network.outputs}
    kept = ("name", "shape", "dtype", "layout", "scale", "zero_point")
    interface = {
        side: [{name: getattr(port, name) for name in kept} for port in both]
        for side, both in ports.items()
    }
    attributes = {INTERFACE: json.dumps(interface)}
    with builder.function("main", list(values.values()), attrs=attributes):
        with builder.dataflow():
            for layer in network.layers:
                workload = layer.workload
                if workload not in functions:
                    kernel = naive_module(workload)["main"].with_attr(WORKLOAD, str(workload))
                    kernel = kernel.without_attr("global_symbol")
                    functions[workload] = builder.add_func(kernel, workload.operator)
                arguments = []
                for operand, tensor in layer.operands():
                    if tensor is None:
                        arguments.append(relax.const(layer.constants[operand.name]))
                        continue
                    value = values[tensor]
                    if flatten_last and layer is network.layers[-1]:
                        value = builder.emit(relax.op.reshape(value, operand.shape))
                    arguments.append(value)
                output = relax.TensorType(workload.output.shape, workload.output.numpy_type)
                call = relax.call_tir(functions[workload], arguments, output)
                values[layer.output] = builder.emit(call, name_hint=layer.name)
            results = [builder.emit_output(values[port.tensor]) for port in network.outputs]
        builder.emit_func_output(results[0] if len(results) == 1 else relax.Tuple(results))
    return builder.get()
