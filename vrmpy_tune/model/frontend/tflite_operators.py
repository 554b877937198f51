"""Operators of a TFLite model as float ones between quantizations, in ONNX's spelling.

Images get their channels first, as everywhere in the float graph; only their axes are renamed,
since the integer rewrite has them last again.  Nodes are called by the tensor they make.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.frontend.qoperators import Rewriting
from vrmpy_tune.model.frontend.tflite_file import elements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vrmpy_tune.model.frontend.tflite_file import Operator, Tensor, TfliteModel

OPSET: Final = 17
"""Whose ReduceMean has its axes as an attribute."""

IMAGE_RANK: Final = 4
CHANNELS_FIRST: Final = (0, 3, 1, 2)
"""Axes of TFLite's images in the order of ONNX's."""

CHANNELS_LAST: Final = (0, 2, 3, 1)

SAME: Final = 0
"""Padding of which the schema says that the result has ``ceil(extent / stride)`` pixels."""

NO_ACTIVATION: Final = 0
ACTIVATIONS: Final = {1: (0.0, None), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
"""Bounds by number of the schema's ``ActivationFunctionType``: RELU, RELU_N1_TO_1, RELU6."""

_TYPES: Final = {
    "float32": TensorProto.FLOAT, "int8": TensorProto.INT8, "uint8": TensorProto.UINT8,
}  # fmt: skip
_CUT: Final = "cut the model before it and compute the rest on the host"
_STATIC: Final = "convert the model with a fixed batch, so that shapes are not computed at run time"
REMEDIES: Final = {
    "LOG_SOFTMAX": _CUT,
    "LOGISTIC": _CUT,
    "ARG_MAX": _CUT,
    "TOPK_V2": _CUT,
    "SHAPE": _STATIC,
    "PACK": _STATIC,
    "STRIDED_SLICE": _STATIC,
    "HARD_SWISH": "train it with RELU6 in its place",
    "TRANSPOSE": "convert the model in TensorFlow's own layout, with channels last",
}
"""What the user can do about operators that are not supported."""

_NEW_KERNEL: Final = (
    "it would need a workload, a search space in search_spaces/, a rule in vrmpy_tune/model/rules/ "
    "and a writer in vrmpy_tune/model/frontend/tflite_operators.py"
)


def onnx_of(model: TfliteModel) -> onnx.ModelProto:
    """Return a model in the spelling of ONNX's QDQ, as the import of ONNX normalizes it.

    Raises
    ------
    ModelError
        If an operator has no integer kernel; the message names it, and the tensor that it makes.
    """
    taken, given = (
        [
            helper.make_tensor_value_info(
                one.name, _element_type(one), _in_order(one.shape, CHANNELS_FIRST)
            )
            for one in tensors
        ]
        for tensors in (model.inputs, model.outputs)
    )
    graph = helper.make_graph([], "tflite", taken, given)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    writer = _Writer(made, model)
    for operator in model.operators:
        write = _WRITERS.get(operator.kind)
        if write is None:
            raise ModelError(
                f"{operator.describe()} has no integer kernel: "
                f"{REMEDIES.get(operator.kind, _NEW_KERNEL)}."
            )
        write(writer, operator)
    made.graph.node.extend(writer.graph.nodes)
    return made


class _Writer:
    """Writes operators between a dequantization of each input and a quantization of the result."""

    def __init__(self, made: onnx.ModelProto, model: TfliteModel) -> None:
        self.graph = Rewriting(made)
        self._users: dict[str, list[Operator]] = {}
        for operator in model.operators:
            for tensor in operator.inputs:
                if tensor is not None:
                    self.graph.taken.add(tensor.name)
                    self._users.setdefault(tensor.name, []).append(operator)
        self._results = {one.name for one in model.outputs}
        self.graph.taken |= self._results
        self.pads: dict[str, tuple[Tensor, tuple[int, int, int, int]]] = {}
        """By a padded tensor's name the one before, and rows above, columns left, below, right."""

    def only_users(self, tensor: Tensor) -> list[Operator]:
        """Return who takes a tensor; nobody if it is a result of the model as well."""
        return [] if tensor.name in self._results else self._users.get(tensor.name, [])

    def float_of(self, operator: Operator, tensor: Tensor | None) -> str:
        """Return the float value of a quantized activation."""
        if tensor is None or tensor.values is not None:
            raise ModelError(
                f"{operator.describe()} takes a constant, or nothing, where an activation is "
                "expected; only its weights and its bias can be constants."
            )
        if tensor.name in self.pads:
            raise ModelError(
                f"The operator PAD that makes the tensor '{tensor.name}' stands before "
                f"{operator.kind}; it is supported before convolutions without padding of their "
                "own only."
            )
        return self.graph.dequantized(operator.output.name, self._quantized(operator, tensor))

    def constant(self, operator: Operator, tensor: Tensor | None, order: Sequence[int]) -> str:
        """Return the float value of quantized weights, their axes in another order."""
        if tensor is None or tensor.values is None:
            raise ModelError(
                f"{operator.describe()} has weights that are computed at run time; only constant "
                "ones are supported."
            )
        scale, zero_point = self._parameters(operator, tensor)
        names = [
            self.graph.add_constant(f"{operator.output.name}/{part}", values)
            for part, values in (
                ("weights", np.ascontiguousarray(tensor.values.transpose(order))),
                ("weight_scale", scale),
                ("weight_zero", zero_point),
            )
        ]
        axis = tuple(order).index(tensor.axis) if scale.size > 1 else 0
        return self.graph.dequantized(operator.output.name, names, axis)

    def bias(self, operator: Operator, tensor: Tensor | None) -> list[str]:
        """Return the float value of a bias, if there is one.

        Its scale is the product of those of activations and weights, whatever the file says of it.
        """
        if tensor is None:
            return []
        if tensor.values is None or tensor.dtype != "int32":
            raise ModelError(
                f"{operator.describe()} has a bias of type {tensor.dtype} that is "
                f"{'computed' if tensor.values is None else 'constant'}; only constants of type "
                "int32 are supported."
            )
        source, weights = operator.inputs[:2]
        assert source is not None
        assert weights is not None
        scales = (
            self._parameters(operator, one)[0].astype(np.float64) for one in (source, weights)
        )
        scale = np.prod(np.broadcast_arrays(*scales), axis=0).astype(np.float32)
        names = [
            self.graph.add_constant(f"{operator.output.name}/{part}", values)
            for part, values in (
                ("bias", tensor.values.reshape(-1)),
                ("bias_scale", scale),
                ("bias_zero", np.zeros(scale.size, np.int32)),
            )
        ]
        return [self.graph.dequantized(operator.output.name, names)]

    def finish(self, operator: Operator, value: str) -> None:
        """Write the activation that is fused into an operator, and quantize the result."""
        number = operator.options.get("FusedActivationFunction", NO_ACTIVATION)
        if number != NO_ACTIVATION:
            value = self.clipped(operator, value, number)
        tensor = operator.output
        parameters = self._quantized(operator, tensor)[1:]
        self.graph.quantized(tensor.name, value, parameters, tensor.name)

    def check_copies(self, operator: Operator, source: Tensor) -> None:
        """Refuse an operator that moves elements as they are to a tensor where they mean another.

        TFLite demands that both have one scale and one zero point; its runtimes copy bytes, or
        refuse the file.
        """
        result = operator.output
        pairs = zip(
            self._parameters(operator, source), self._parameters(operator, result), strict=True
        )
        if source.dtype == result.dtype and all(np.array_equal(*pair) for pair in pairs):
            return
        raise ModelError(
            f"{operator.describe()} has another quantization than the tensor '{source.name}' that "
            "it takes; TFLite demands one scale and one zero point of both. Put a QUANTIZE between "
            "them."
        )

    def clipped(self, operator: Operator, value: str, number: int) -> str:
        """Write an activation, by its number in the schema."""
        if number not in ACTIVATIONS:
            raise ModelError(
                f"{operator.describe()} has activation {number} fused into it; only RELU, RELU6 "
                "and RELU_N1_TO_1 have integer kernels."
            )
        low, high = ACTIVATIONS[number]
        name = f"{operator.output.name}/activation"
        if high is None:
            return self.graph.emit("Relu", name, [value])
        bounds = [
            self.graph.add_constant(f"{name}/bound", np.asarray(bound, np.float32))
            for bound in (low, high)
        ]
        return self.graph.emit("Clip", name, [value, *bounds])

    def _quantized(self, operator: Operator, tensor: Tensor) -> list[str]:
        """Return the names of an activation, of its scale and of its zero point."""
        scale, zero_point = self._parameters(operator, tensor)
        return [
            tensor.name,
            self.graph.add_constant(f"{tensor.name}/scale", scale),
            self.graph.add_constant(f"{tensor.name}/zero", zero_point),
        ]

    def _parameters(self, operator: Operator, tensor: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return scales and zero points, the latter of the tensor's own type."""
        if tensor.dtype not in ("int8", "uint8") or tensor.scale is None:
            raise ModelError(
                f"{operator.describe()} has a tensor of type {tensor.dtype}, '{tensor.name}', that "
                "is not quantized to 8 bits; convert the model with full integer quantization."
            )
        assert tensor.zero_point is not None
        points = np.broadcast_to(tensor.zero_point, tensor.scale.shape)
        return tensor.scale, points.astype(tensor.dtype)


def _conv(writer: _Writer, operator: Operator) -> None:
    """Write a convolution; TFLite's weights are ``[outputs, rows, columns, inputs]``."""
    _, weights, *_ = operator.inputs
    # A depthwise one's are [1, rows, columns, outputs].
    depthwise = operator.kind == "DEPTHWISE_CONV_2D"
    order = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)
    source, pads = _padded(writer, operator)
    if weights is None or len(weights.shape) != IMAGE_RANK or len(source.shape) != IMAGE_RANK:
        raise ModelError(f"{operator.describe()} has weights or activations that are no images.")
    channels = source.shape[3]
    groups = channels if depthwise else channels // max(1, weights.shape[3])
    inputs = [writer.float_of(operator, source), writer.constant(operator, weights, order)]
    inputs += writer.bias(operator, operator.inputs[2] if len(operator.inputs) > 2 else None)
    value = writer.graph.emit(
        "Conv", operator.output.name, inputs, kernel_shape=weights.shape[1:3],
        strides=_strides(operator), dilations=_dilations(operator), pads=pads, group=groups,
    )  # fmt: skip
    writer.finish(operator, value)


def _dense(writer: _Writer, operator: Operator) -> None:
    """Write a matrix product; TFLite's weights are ``[outputs, inputs]``."""
    source, weights, *rest = operator.inputs
    if operator.options["WeightsFormat"]:
        raise ModelError(
            f"{operator.describe()} has shuffled weights; convert the model for the plain runtime."
        )
    if source is None or weights is None or len(weights.shape) != 2:
        raise ModelError(f"{operator.describe()} has no matrix of weights.")
    outputs, depth = weights.shape
    if len(operator.output.shape) == len(source.shape) == IMAGE_RANK and source.shape[3] == depth:
        _pixelwise(writer, operator)
        return
    rows = (elements(source) // depth, depth)
    value = _reshaped(writer, operator, writer.float_of(operator, source), source.shape, rows)
    inputs = [value, writer.constant(operator, weights, (0, 1))]
    inputs += writer.bias(operator, rest[0] if rest else None)
    value = writer.graph.emit("Gemm", operator.output.name, inputs, transB=1)
    shape = operator.output.shape
    writer.finish(operator, _reshaped(writer, operator, value, (rows[0], outputs), shape))


def _pixelwise(writer: _Writer, operator: Operator) -> None:
    """Write the product of each pixel's channels with a matrix: a convolution of 1 x 1."""
    source, weights, *rest = operator.inputs
    assert source is not None
    assert weights is not None
    window = replace(weights, values=None, shape=(*weights.shape, 1, 1))
    if weights.values is not None:
        window = replace(window, values=weights.values.reshape(window.shape))
    inputs = [writer.float_of(operator, source), writer.constant(operator, window, range(4))]
    inputs += writer.bias(operator, rest[0] if rest else None)
    value = writer.graph.emit("Conv", operator.output.name, inputs, kernel_shape=[1, 1])
    writer.finish(operator, value)


def _pool(writer: _Writer, operator: Operator) -> None:
    (source,) = operator.inputs
    window = [operator.options["FilterHeight"], operator.options["FilterWidth"]]
    value = writer.float_of(operator, source)
    assert source is not None
    writer.check_copies(operator, source)
    kind = "MaxPool" if operator.kind == "MAX_POOL_2D" else "AveragePool"
    value = writer.graph.emit(
        kind, operator.output.name, [value], kernel_shape=window,
        strides=_strides(operator), pads=_pads(operator, source, window),
    )  # fmt: skip
    writer.finish(operator, value)


def _binary(writer: _Writer, operator: Operator) -> None:
    kind = {"ADD": "Add", "MUL": "Mul"}[operator.kind]
    inputs = [writer.float_of(operator, one) for one in operator.inputs]
    writer.finish(operator, writer.graph.emit(kind, operator.output.name, inputs))


def _concat(writer: _Writer, operator: Operator) -> None:
    inputs = [writer.float_of(operator, one) for one in operator.inputs]
    rank = len(operator.output.shape)
    axis = operator.options["Axis"] % rank
    axis = CHANNELS_FIRST.index(axis) if rank == IMAGE_RANK else axis
    writer.finish(operator, writer.graph.emit("Concat", operator.output.name, inputs, axis=axis))


def _mean(writer: _Writer, operator: Operator) -> None:
    source, axes = operator.inputs
    value = writer.float_of(operator, source)
    assert source is not None
    if axes is None or axes.values is None:
        raise ModelError(f"{operator.describe()} computes its axes at run time.")
    rank = len(source.shape)
    if any(not -rank <= axis < rank for axis in axes.values.reshape(-1)):
        raise ModelError(f"{operator.describe()} has axes that its input does not have.")
    chosen = [int(axis) % rank for axis in axes.values.reshape(-1)]
    if len(source.shape) == IMAGE_RANK:
        chosen = [CHANNELS_FIRST.index(axis) for axis in chosen]
    value = writer.graph.emit(
        "ReduceMean", operator.output.name, [value], axes=sorted(chosen),
        keepdims=int(bool(operator.options["KeepDims"])),
    )  # fmt: skip
    writer.finish(operator, value)


def _reshape(writer: _Writer, operator: Operator) -> None:
    source = operator.inputs[0]
    value = writer.float_of(operator, source)
    assert source is not None
    writer.check_copies(operator, source)
    shape = operator.output.shape
    writer.finish(operator, _reshaped(writer, operator, value, source.shape, shape))


def _pad(writer: _Writer, operator: Operator) -> None:
    """Remember the rows and columns that a convolution behind is to pad by."""
    source, amounts = operator.inputs[:2]
    users = writer.only_users(operator.output)
    table = None if amounts is None else amounts.values
    convolutions = all(
        one.kind in ("CONV_2D", "DEPTHWISE_CONV_2D") and one.options["Padding"] != SAME
        for one in users
    )
    if not users or not convolutions or source is None or table is None or table.shape != (4, 2):
        raise ModelError(
            f"{operator.describe()} is supported before convolutions without padding of their own "
            "only; let the operator behind it pad."
        )
    if table[0].any() or table[3].any():
        raise ModelError(
            f"{operator.describe()} pads batch or channels; only images can be padded."
        )
    writer.check_copies(operator, source)
    (top, bottom), (left, right) = table[1:3].tolist()
    writer.pads[operator.output.name] = (source, (top, left, bottom, right))


def _quantize(writer: _Writer, operator: Operator) -> None:
    """Write the first quantization, or a change of scale."""
    (source,) = operator.inputs
    if source is not None and source.dtype == "float32":
        writer.finish(operator, source.name)
    else:
        writer.finish(operator, writer.float_of(operator, source))


def _dequantize(writer: _Writer, operator: Operator) -> None:
    (source,) = operator.inputs
    value = writer.float_of(operator, source)
    writer.graph.emit("Identity", operator.output.name, [value], operator.output.name)


def _activation(writer: _Writer, operator: Operator) -> None:
    number = {"RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}[operator.kind]
    value = writer.float_of(operator, operator.inputs[0])
    writer.finish(operator, writer.clipped(operator, value, number))


def _softmax(writer: _Writer, operator: Operator) -> None:
    """Write a softmax, which is taken off again for the host."""
    beta = operator.options["Beta"]
    if beta != 1:
        raise ModelError(
            f"{operator.describe()} multiplies by {beta:g} before; only a factor (beta) of 1 is "
            "supported. Multiply the weights before it instead."
        )
    value = writer.float_of(operator, operator.inputs[0])
    value = writer.graph.emit("Softmax", operator.output.name, [value], axis=-1)
    writer.finish(operator, value)


def _reshaped(
    writer: _Writer,
    operator: Operator,
    value: str,
    before: tuple[int, ...],
    after: tuple[int, ...],
) -> str:
    """Write a change of shape that keeps TFLite's order of elements."""
    if before == after:
        return value
    if len(after) == IMAGE_RANK and after[1:3] != (1, 1):
        raise ModelError(
            f"{operator.describe()} makes an image of shape {list(after)} of a tensor of shape "
            f"{list(before)}; only images of one pixel are supported."
        )
    name = f"{operator.output.name}/reshape"
    if len(before) == IMAGE_RANK and before[1:3] != (1, 1):
        value = writer.graph.emit("Transpose", f"{name}/order", [value], perm=CHANNELS_LAST)
    shape = np.asarray(_in_order(after, CHANNELS_FIRST), np.int64)
    return writer.graph.emit("Reshape", name, [value, writer.graph.add_constant(name, shape)])


def _padded(writer: _Writer, operator: Operator) -> tuple[Tensor, list[int]]:
    """Return what a convolution takes, and its padding; a PAD before it becomes part of that."""
    source, weights, *_ = operator.inputs
    if source is None or weights is None:
        raise ModelError(f"{operator.describe()} has no activations or no weights.")
    if source.name in writer.pads:
        before, pads = writer.pads[source.name]
        return before, list(pads)
    return source, _pads(operator, source, weights.shape[1:3])


def _pads(operator: Operator, source: Tensor, window: Sequence[int]) -> list[int]:
    """Return rows above, columns left, rows below, columns right."""
    if operator.options["Padding"] != SAME:
        return [0] * 4
    before, behind = [], []
    sizes = zip(source.shape[1:3], window, _strides(operator), _dilations(operator), strict=True)
    for extent, size, stride, dilation in sizes:
        reach = (size - 1) * dilation + 1
        total = max(0, (-(-extent // stride) - 1) * stride + reach - extent)
        before.append(total // 2)
        behind.append(total - total // 2)
    return before + behind


def _strides(operator: Operator) -> list[int]:
    return [operator.options["StrideH"], operator.options["StrideW"]]


def _dilations(operator: Operator) -> list[int]:
    # A table of options without them means 1.
    return [operator.options.get(one, 1) for one in ("DilationHFactor", "DilationWFactor")]


def _in_order(shape: tuple[int, ...], order: Sequence[int]) -> list[int]:
    return [shape[axis] for axis in order] if len(shape) == IMAGE_RANK else list(shape)


def _element_type(tensor: Tensor) -> int:
    if tensor.dtype not in _TYPES:
        raise ModelError(
            f"The model's input or output '{tensor.name}' has the type {tensor.dtype}; only "
            f"{', '.join(_TYPES)} are supported."
        )
    return int(_TYPES[tensor.dtype])


_WRITERS: Final[Mapping[str, Callable[[_Writer, Operator], Any]]] = {
    "ADD": _binary,
    "AVERAGE_POOL_2D": _pool,
    "CONCATENATION": _concat,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _conv,
    "DEQUANTIZE": _dequantize,
    "EXPAND_DIMS": _reshape,
    "FULLY_CONNECTED": _dense,
    "MAX_POOL_2D": _pool,
    "MEAN": _mean,
    "MUL": _binary,
    "PAD": _pad,
    "QUANTIZE": _quantize,
    "RELU": _activation,
    "RELU6": _activation,
    "RELU_N1_TO_1": _activation,
    "RESHAPE": _reshape,
    "SOFTMAX": _softmax,
    "SQUEEZE": _reshape,
}
