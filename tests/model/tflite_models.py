"""Small TFLite models with random parameters, and TFLite's own interpreter to compare with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from vrmpy_tune.model.edge import SIGN_OFFSET
from vrmpy_tune.model.network import Network, network_of
from vrmpy_tune.model.reference import run_layer
from vrmpy_tune.model.tflite_import import import_tflite

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

INPUT = "image"
SAME, VALID = 0, 1
NONE, RELU, RELU6 = 0, 1, 3
SPREAD = 74
"""Standard deviation of bytes that are all equally likely."""

VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "RESHAPE": 1, "EXPAND_DIMS": 1, "SQUEEZE": 1}
"""Of operators with signed bytes; others have 2."""

WANTED = 45
"""Standard deviation of a layer's outputs in units of their scale."""


@dataclass(frozen=True)
class Handle:
    """A tensor that was written."""

    index: int
    shape: tuple[int, ...]
    scale: float


class TfliteWriter:
    """Writes a model operator by operator; activations are signed bytes unless said otherwise.

    Parameters
    ----------
    dtype:
        Type of the activations.
    """

    def __init__(self, seed: int = 0, dtype: str = "int8") -> None:
        self.generator = np.random.default_rng(seed)
        self.dtype = dtype
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "",
        *,
        scale: Any = None,
        zero_point: Any = 0,
        axis: int = 0,
        values: np.ndarray | None = None,
    ) -> Handle:
        made = schema.TensorT()
        made.name, made.shape = name, list(shape)
        made.type = getattr(schema.TensorType, (dtype or self.dtype).upper())
        made.buffer = 0
        if scale is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = np.atleast_1d(np.asarray(scale, np.float32)).tolist()
            points = np.broadcast_to(zero_point, len(made.quantization.scale))
            made.quantization.zeroPoint = points.tolist()
            made.quantization.quantizedDimension = axis
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(made)
        first = 0.0 if scale is None else float(np.atleast_1d(scale)[0])
        return Handle(len(self.graph.tensors) - 1, tuple(shape), first)

    def input(self, shape: Sequence[int], scale: float = 0.02, zero_point: int = -5) -> Handle:
        return self.tensor(INPUT, shape, scale=scale, zero_point=zero_point)

    def operator(
        self, kind: str, inputs: Sequence[Handle | None], output: Handle, table: str = "",
        **options: Any,
    ) -> Handle:  # fmt: skip
        code = schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, kind)
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
        code.version = VERSIONS.get(kind, 2)
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes)
        made.inputs = [-1 if one is None else one.index for one in inputs]
        made.outputs = [output.index]
        if table:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            made.builtinOptions = getattr(schema, f"{table}T")()
            for name, value in options.items():
                assert hasattr(made.builtinOptions, name)
                setattr(made.builtinOptions, name, value)
        self.model.operatorCodes.append(code)
        self.graph.operators.append(made)
        return output

    def output(self, name: str, shape: Sequence[int], scale: float, zero_point: int = 3) -> Handle:
        return self.tensor(name, shape, scale=scale, zero_point=zero_point)

    def weights(
        self, name: str, shape: Sequence[int], axis: int, *, per_channel: bool = True
    ) -> tuple[Handle, np.ndarray]:
        """Draw weights; return them, and their scales."""
        values = self.generator.integers(-127, 128, shape).astype(np.int8)
        number = shape[axis] if per_channel else 1
        scale = self.generator.uniform(0.005, 0.015, number).astype(np.float32)
        return self.tensor(name, shape, "int8", scale=scale, axis=axis, values=values), scale

    def bias(self, name: str, source: Handle, scale: np.ndarray, number: int) -> Handle:
        values = self.generator.integers(-20_000, 20_000, number).astype(np.int32)
        return self.tensor(name, [number], "int32", scale=source.scale * scale, values=values)

    def conv(
        self, name: str, source: Handle, outputs: int, kernel: tuple[int, int] = (3, 3), *,
        stride: tuple[int, int] = (1, 1), padding: int = SAME, activation: int = NONE,
        depthwise: bool = False, per_channel: bool = True,
        dilation: tuple[int, int] = (1, 1), groups: int = 1,
    ) -> Handle:  # fmt: skip
        batch, *extents, channels = source.shape
        shape = [1, *kernel, outputs] if depthwise else [outputs, *kernel, channels // groups]
        weights, scale = self.weights(
            f"{name}/weights", shape, 3 if depthwise else 0, per_channel=per_channel
        )
        reach = [(size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True)]
        sizes = [
            -(-(extent - (0 if padding == SAME else one - 1)) // step)
            for extent, one, step in zip(extents, reach, stride, strict=True)
        ]
        depth = prod(kernel) * (1 if depthwise else channels // groups)
        result = self.output(
            name, (batch, *sizes, outputs),
            float(source.scale * scale.mean() * SPREAD * SPREAD * np.sqrt(depth) / WANTED),
        )  # fmt: skip
        if activation == RELU6:
            self.graph.tensors[result.index].quantization.scale = [6 / 250]
            result = replace(result, scale=6 / 250)
        table = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
        options = {"depthMultiplier": outputs // channels} if depthwise else {}
        inputs = [source, weights]
        inputs.append(self.bias(f"{name}/bias", source, scale, outputs))
        return self.operator(
            "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", inputs, result, table,
            padding=padding, strideH=stride[0], strideW=stride[1], dilationHFactor=dilation[0],
            dilationWFactor=dilation[1], fusedActivationFunction=activation, **options,
        )  # fmt: skip

    def dense(
        self, name: str, source: Handle, outputs: int, *, per_channel: bool = False,
        activation: int = NONE, bias: bool = True,
    ) -> Handle:  # fmt: skip
        depth = prod(source.shape[1:])
        weights, scale = self.weights(
            f"{name}/weights", [outputs, depth], 0, per_channel=per_channel
        )
        spread = float(source.scale * scale.mean() * SPREAD * SPREAD * np.sqrt(depth) / WANTED)
        result = self.output(name, (source.shape[0], outputs), spread)
        inputs = [source, weights]
        inputs.append(self.bias(f"{name}/bias", source, scale, outputs) if bias else None)
        return self.operator(
            "FULLY_CONNECTED", inputs, result, "FullyConnectedOptions",
            fusedActivationFunction=activation,
        )  # fmt: skip

    def same(self, name: str, source: Handle, shape: Sequence[int]) -> Handle:
        """Return a tensor of another shape with the quantization of ``source``."""
        old = self.graph.tensors[source.index].quantization
        return self.tensor(name, shape, scale=old.scale[0], zero_point=old.zeroPoint[0])

    def pool(
        self, kind: str, name: str, source: Handle, window: tuple[int, int],
        *, stride: tuple[int, int] = (1, 1), padding: int = SAME, activation: int = NONE,
    ) -> Handle:  # fmt: skip
        batch, *extents, channels = source.shape
        sizes = [
            -(-(extent - (0 if padding == SAME else size - 1)) // step)
            for extent, size, step in zip(extents, window, stride, strict=True)
        ]
        return self.operator(
            kind, [source], self.same(name, source, (batch, *sizes, channels)), "Pool2DOptions",
            padding=padding, strideH=stride[0], strideW=stride[1], filterHeight=window[0],
            filterWidth=window[1], fusedActivationFunction=activation,
        )  # fmt: skip

    def add(self, name: str, lhs: Handle, rhs: Handle, activation: int = NONE) -> Handle:
        result = self.output(name, lhs.shape, float(np.hypot(lhs.scale, rhs.scale)))
        return self.operator(
            "ADD", [lhs, rhs], result, "AddOptions", fusedActivationFunction=activation
        )

    def mean(self, name: str, source: Handle, *, keep: bool = False) -> Handle:
        axes = self.tensor(f"{name}/axes", [2], "int32", values=np.asarray([1, 2], np.int32))
        batch, *_, channels = source.shape
        shape = (batch, 1, 1, channels) if keep else (batch, channels)
        result = self.output(name, shape, source.scale / 2)
        return self.operator("MEAN", [source, axes], result, "ReducerOptions", keepDims=keep)

    def concat(self, name: str, sources: Sequence[Handle], axis: int) -> Handle:
        """Join tensors along an axis, brought to one scale before, as TFLite demands."""
        shape = list(sources[0].shape)
        shape[axis] = sum(one.shape[axis] for one in sources)
        largest = max(sources, key=lambda one: one.scale)
        sources = [
            one
            if one == largest
            else self.operator(
                "QUANTIZE", [one], self.same(f"{name}/part{index}", largest, one.shape)
            )
            for index, one in enumerate(sources)
        ]
        result = self.same(name, largest, shape)
        return self.operator(
            "CONCATENATION", sources, result, "ConcatenationOptions", axis=axis,
            fusedActivationFunction=NONE,
        )  # fmt: skip

    def reshape(self, name: str, source: Handle, shape: Sequence[int]) -> Handle:
        wanted = self.tensor(
            f"{name}/shape", [len(shape)], "int32", values=np.asarray(shape, np.int32)
        )
        return self.operator("RESHAPE", [source, wanted], self.same(name, source, shape))

    def pad(self, name: str, source: Handle, amounts: Sequence[Sequence[int]]) -> Handle:
        table = np.asarray(amounts, np.int32)
        wanted = self.tensor(f"{name}/amounts", [4, 2], "int32", values=table)
        shape = [extent + sum(one) for extent, one in zip(source.shape, amounts, strict=True)]
        return self.operator("PAD", [source, wanted], self.same(name, source, shape))

    def write(self, path: Path, inputs: Sequence[Handle], outputs: Sequence[Handle]) -> Path:
        self.graph.inputs = [one.index for one in inputs]
        self.graph.outputs = [one.index for one in outputs]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


def interpreted(path: Path, values: np.ndarray) -> dict[str, np.ndarray]:
    """Return all tensors of a run by TFLite's reference kernels, bytes as the device has them."""
    interpreter = Interpreter(
        str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    found = {}
    for one in interpreter.get_tensor_details():
        try:
            tensor = interpreter.get_tensor(one["index"])
        except ValueError:  # a temporary of the runtime
            continue
        if tensor.dtype == np.int8:
            tensor = (tensor.astype(np.int16) + SIGN_OFFSET).astype(np.uint8)
        found[one["name"]] = tensor
    return found


def differences(path: Path, values: np.ndarray) -> dict[str, int]:
    """Return by layer how far it is from TFLite's, each given TFLite's own tensors."""
    network = network_of(import_tflite(path, fuse=False))
    known = interpreted(path, values)
    (port,) = network.inputs
    entry = known[port.name] if port.dtype != "float32" else known["quantized"]
    tensors = {port.tensor: entry.reshape(port.integer_shape)}
    found = {}
    for layer in network.layers:
        own = run_layer(layer, tensors)
        name = layer.name.removesuffix("/activation")
        theirs = known[name].reshape(own.shape) if name in known else own
        tensors[layer.output] = theirs
        if name in known:
            difference = np.abs(own.astype(np.int32) - theirs)
            found[name] = int(difference.max())
            assert theirs.std() > 5, f"{name} has all but one value"
    return found


def compared(path: Path, shape: Sequence[int], dtype: str = "int8") -> Network:
    """Return the network of a file, no layer of which is more than one unit from TFLite's."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    for seed in range(3):
        values = np.random.default_rng(seed).integers(low, high + 1, shape).astype(dtype)
        found = differences(path, values)
        assert found
        assert max(found.values()) <= 1, found
    return network_of(import_tflite(path))
