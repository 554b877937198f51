"""The integer network: layers in order, each one workload with its constants.

This is what the interpreter, the tasks, the memory plan and the executor work on.  It is read
from the integer module, whose functions carry their workload in the attribute
``vrmpy.workload``; see :func:`network_of`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.softmax import Softmax
from vrmpy_tune.workload import parse_workload
from vrmpy_tune.workload.base import product

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import tvm

    from vrmpy_tune.workload import Operand, Workload

WORKLOAD: Final = "vrmpy.workload"
INTERFACE: Final = "vrmpy.interface"
TENSORS: Final = "vrmpy.tensors"
"""Attributes of the integer module: of its functions, and two of ``main``."""

LAYOUTS: Final = ("nchw", "nhwc", "nc", "any")
"""Layouts of the user's tensors; all but ``nchw`` have their elements in the network's order."""

PASSED: Final = ("uint8", "int8")
"""User's types that are not quantized on the host."""


@dataclass(frozen=True)
class Port:
    """An input or output of the network, as the model file has it and as the device does.

    Attributes
    ----------
    name, shape, dtype, layout:
        The user's view; ``layout`` is one of :data:`LAYOUTS`.  ``dtype`` is ``"float32"``, which
        the host converts, or an 8-bit type.
    scale, zero_point:
        ``value = scale * (integer - zero_point)``, of the device's integers.
    tensor:
        Name of the integer tensor in the network.
    integer_shape, integer_dtype:
        Its shape, channels last, and numpy type.
    after:
        What the host computes of an output's values; ``dtype`` is then the type of that.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    scale: float
    zero_point: int
    tensor: str
    integer_shape: tuple[int, ...]
    integer_dtype: str
    after: Softmax | None = None

    @property
    def before(self) -> Port:
        """The float port of what :attr:`after` takes; the port itself if there is nothing."""
        return self if self.after is None else replace(self, dtype="float32", after=None)

    def as_json(self) -> dict[str, Any]:
        """Return the port as JSON data; :meth:`of_json` reads it."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        after = data.pop("after")
        return data if after is None else {**data, "after": after.as_json()}

    @staticmethod
    def of_json(data: dict[str, Any]) -> Port:
        """Read what :meth:`as_json` wrote; raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        after, dtype = data.get("after"), str(data["dtype"])
        return Port(
            name=str(data["name"]),
            shape=tuple(int(extent) for extent in data["shape"]),
            dtype=dtype,
            layout=str(data["layout"]),
            scale=float(data["scale"]),
            zero_point=int(data["zero_point"]),
            tensor=str(data["tensor"]),
            integer_shape=tuple(int(extent) for extent in data["integer_shape"]),
            integer_dtype=str(data["integer_dtype"]),
            after=None if after is None else Softmax.of_json(after, dtype),
        )


@dataclass(frozen=True, eq=False)
class Layer:
    """One workload of the network.

    Attributes
    ----------
    name:
        Unique in the network.
    workload:
        What it computes.
    inputs:
        Names of the tensors for the operands that are not constant, in their order.
    constants:
        Arrays for the constant operands by name.
    output:
        Name of the tensor that it makes.
    """

    name: str
    workload: Workload
    inputs: tuple[str, ...]
    constants: dict[str, np.ndarray] = field(repr=False)
    output: str

    def operands(self) -> Iterator[tuple[Operand, str | None]]:
        """Yield each operand with the name of its tensor, or ``None`` if it is constant."""
        inputs = iter(self.inputs)
        for operand in self.workload.operands:
            yield operand, None if operand.constant else next(inputs)


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in the order of execution.

    Attributes
    ----------
    layers:
        At least one.
    inputs, outputs:
        What the user gives and gets.
    """

    layers: tuple[Layer, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def __post_init__(self) -> None:
        """Check that layers and ports fit together.

        Raises
        ------
        ModelError
            If a tensor is not made before it is read, has not the reader's size and type, or is two
            ports; the message names the layer or port.
        """
        known = {port.tensor: (port.integer_shape, port.integer_dtype) for port in self.inputs}
        for layer in self.layers:
            _check_constants(layer)
            for operand, tensor in layer.operands():
                if tensor is not None:
                    wanted = (operand.shape, operand.numpy_type)
                    _check_fits(known.get(tensor), wanted, tensor, f"The layer {layer.name}")
            output = layer.workload.output
            known[layer.output] = (output.shape, output.numpy_type)
        ports: set[str] = set()
        for port in (*self.inputs, *self.outputs):
            if port.tensor in ports:
                raise ModelError(
                    f"The model's '{port.name}' is the tensor {port.tensor}, which another input "
                    "or output is already; remove one of them from the model."
                )
            ports.add(port.tensor)
        for port in self.outputs:
            wanted = (port.integer_shape, port.integer_dtype)
            _check_fits(known.get(port.tensor), wanted, port.tensor, f"The output {port.name}")

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers."""
        return sum(layer.workload.macs for layer in self.layers)

    def outputs_as_json(self) -> dict[str, dict[str, Any]]:
        """Return what reports say of the outputs, by name."""
        return {
            port.name: {
                "shape": list(port.shape),
                "dtype": port.dtype,
                "after": port.after.as_json() if port.after else None,
            }
            for port in self.outputs
        }


Kind = tuple[tuple[int, ...], str]


def _check_fits(found: Kind | None, wanted: Kind, tensor: str, reader: str) -> None:
    if found is None:
        raise ModelError(f"{reader} reads the tensor {tensor}, which no layer before it makes.")
    if product(found[0]) != product(wanted[0]) or found[1] != wanted[1]:
        raise ModelError(
            f"{reader} reads {wanted[1]}{list(wanted[0])}, but the tensor {tensor} is "
            f"{found[1]}{list(found[0])}."
        )


def _check_constants(layer: Layer) -> None:
    for operand in layer.workload.operands:
        if not operand.constant:
            continue
        array = layer.constants.get(operand.name)
        if array is None or (array.shape, str(array.dtype)) != (operand.shape, operand.numpy_type):
            found = "missing" if array is None else f"{array.dtype}{list(array.shape)}"
            raise ModelError(
                f"The layer {layer.name} needs the constant {operand.name} as "
                f"{operand.numpy_type}{list(operand.shape)}; it is {found}."
            )
    needed = sum(not operand.constant for operand in layer.workload.operands)
    if needed != len(layer.inputs):
        raise ModelError(
            f"The layer {layer.name} has {len(layer.inputs)} inputs, but "
            f"{layer.workload.operator} takes {needed}."
        )


def network_of(module: tvm.IRModule) -> Network:
    """Read the network from an integer module.

    ``main`` is one dataflow block of ``call_tir`` to functions with the attribute
    ``vrmpy.workload``; ``reshape`` and aliases in between keep the tensor's bytes and make no
    layer.

    Raises
    ------
    ModelError
        If the module is of another form; the message names the binding.
    """
    return _Reader(module).network()


def tensors_of(module: tvm.IRModule) -> dict[str, list[str]]:
    """Return the tensors of the model file that each layer makes, or each input is, by its name.

    They are those that the file has as integers, of a module whose kernels are not fused.
    """
    return {
        str(name): [str(one) for one in tensors]
        for name, tensors in json.loads(str(module["main"].attrs[TENSORS])).items()
    }


class _Reader:
    def __init__(self, module: tvm.IRModule) -> None:
        self.module, self.main = module, module["main"]
        self.tensors: dict[Any, str] = {}
        self.tuples: dict[Any, list[Any]] = {}
        """Results of a network that has several."""
        self.layers: list[Layer] = []
        self.names: set[str] = set()

    def network(self) -> Network:
        interface = json.loads(str(self.main.attrs[INTERFACE]))
        params = list(self.main.params)
        for one in params:
            self.tensors[one] = self._unique(one.name)
        for block in self.main.body.blocks:
            for binding in block.bindings:
                self._bind(binding.var, binding.value)
        body = self.main.body.body
        results = list(body.fields) if hasattr(body, "fields") else self.tuples.get(body, [body])
        return Network(
            tuple(self.layers),
            tuple(map(self._port, interface["inputs"], params)),
            tuple(map(self._port, interface["outputs"], results)),
        )

    def _bind(self, variable: Any, value: Any) -> None:
        operation = getattr(getattr(value, "op", None), "name", None)
        if value in self.tensors:
            self.tensors[variable] = self.tensors[value]
        elif operation == "relax.reshape":
            self.tensors[variable] = self.tensors[value.args[0]]
        elif operation == "relax.call_tir":
            self._call(variable, value.args[0], list(value.args[1].fields))
        elif hasattr(value, "fields"):
            self.tuples[variable] = list(value.fields)
        else:
            raise ModelError(
                f"{variable.name} is {operation or type(value).__name__} in the integer module, "
                "which is made of calls of kernels only. This is a fault of the rewrite."
            )

    def _call(self, variable: Any, function: Any, arguments: list[Any]) -> None:
        attributes = self.module[function].attrs
        if attributes is None or WORKLOAD not in attributes:
            raise ModelError(
                f"{variable.name} calls {function.name_hint}, which names no workload in its "
                f"attribute {WORKLOAD}. This is a fault of the rewrite."
            )
        workload = parse_workload(str(attributes[WORKLOAD]))
        inputs: list[str] = []
        constants: dict[str, np.ndarray] = {}
        for operand, argument in zip(workload.operands, arguments, strict=True):
            if operand.constant:
                constants[operand.name] = argument.value.numpy()
            else:
                inputs.append(self.tensors[argument])
        name = self._unique(variable.name)
        self.tensors[variable] = name
        self.layers.append(Layer(name, workload, tuple(inputs), constants, name))

    def _unique(self, hint: str) -> str:
        name, number = hint, 1
        while name in self.names:
            number += 1
            name = f"{hint}_{number}"
        self.names.add(name)
        return name

    def _port(self, described: dict[str, Any], variable: Any) -> Port:
        layout = str(described["layout"])
        if layout not in LAYOUTS:
            raise ModelError(
                f"{described['name']} has the layout '{layout}'; use one of {', '.join(LAYOUTS)}."
            )
        integer = {
            "tensor": self.tensors[variable],
            "integer_shape": variable.ty.shape.values,
            "integer_dtype": variable.ty.dtype,
        }
        return Port.of_json({**described, **integer})
