"""Integer networks made by hand: random weights, parameters that keep values in range."""

from __future__ import annotations

import numpy as np

from vrmpy_tune.model.network import Layer, Network, Port
from vrmpy_tune.quantize import LIMITS, add_parameters, fixed_point
from vrmpy_tune.suites.quantized import classifier, convolution, global_average, max_pool
from vrmpy_tune.suites.resnet50 import EXPANSION, STAGES
from vrmpy_tune.workload import Contraction, Workload, parse_workload
from vrmpy_tune.workload.contraction import ADD_FIELDS
from vrmpy_tune.workload.pooling import GlobalAvgPool2d

ZERO_POINT = 7
"""Of outputs without an activation."""


class Builder:
    """Adds layers one by one; constants are drawn so that outputs fill their range.

    ``calibration`` is what the first tensor holds when parameters are chosen.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str = "u8", seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.layers: list[Layer] = []
        numpy_type = {"u8": "uint8", "i8": "int8"}[dtype]
        low, high = LIMITS[dtype]
        first = self.random.integers(low, high + 1, shape).astype(numpy_type)
        self.values = {"input": first}
        self.input = port("image", "input", first)

    def add(self, text: str | Workload, *inputs: str, name: str | None = None) -> str:
        """Add a layer and return the name of its output."""
        workload = parse_workload(text) if isinstance(text, str) else text
        name = name or f"layer{len(self.layers)}"
        arrays = [self.values[one] for one in inputs]
        constants = self._constants(workload, arrays)
        layer = Layer(name, workload, inputs, constants, name)
        operands = [
            constants[operand.name]
            if tensor is None
            else self.values[tensor].reshape(operand.shape)
            for operand, tensor in layer.operands()
        ]
        self.values[name] = workload.reference(*operands)
        self.layers.append(layer)
        return name

    def network(self, *outputs: str) -> Network:
        ports = tuple(port(f"out_{one}", one, self.values[one]) for one in outputs)
        return Network(tuple(self.layers), (self.input,), ports)

    def _constants(self, workload: Workload, inputs: list[np.ndarray]) -> dict[str, np.ndarray]:
        if isinstance(workload, Contraction):
            return self._contraction(workload, inputs)
        if isinstance(workload, GlobalAvgPool2d):
            # Such that the average of the input's channels fills the output's range.
            means = inputs[0].mean(axis=(1, 2)).astype(float) - ZERO_POINT
            factor = min(200.0 / max(1.0, means.max()), 8.0) / (workload.h * workload.w)
            multiplier, shift = fixed_point(np.asarray([min(factor, 0.9)]))
            average = np.asarray([ZERO_POINT, shift, ZERO_POINT, 0, 255], np.int32)
            return {"multiplier": multiplier, "average": average}
        drawn = workload.draw("random", self.random)
        return {
            operand.name: array
            for operand, array in zip(workload.operands, drawn, strict=True)
            if operand.constant
        }

    def _contraction(
        self, workload: Contraction, inputs: list[np.ndarray]
    ) -> dict[str, np.ndarray]:
        low, high = LIMITS[workload.types[1]]
        weights = self.random.integers(low, high + 1, workload.weight_shape)
        weights = weights.astype({"u8": "uint8", "i8": "int8"}[workload.types[1]])
        constants = {"weights": weights}
        activations = inputs[0].reshape(workload.input_shape)
        channels = weights.reshape(len(weights), -1).astype(float)
        if workload.bias:
            middle = -float(activations.mean()) * channels.sum(axis=1)
            constants["bias"] = np.rint(middle).astype(np.int32)
        if workload.requant == "none":
            return constants
        # Sums are about normal, with this deviation.
        spread = 2.5 * max(1.0, float(activations.std())) * np.sqrt((channels**2).sum(axis=1))
        if workload.requant == "tensor":
            spread = spread.max(keepdims=True)
        low, high = LIMITS[workload.out]
        multiplier, shift = fixed_point(
            np.minimum(0.5 * (high - low) / np.maximum(spread, 1.0), 0.9)
        )
        bounds = (ZERO_POINT, high) if workload.act == "relu" else (low, high)
        constants["multiplier"] = multiplier
        constants["requantize"] = np.asarray([shift, ZERO_POINT, *bounds], np.int32)
        if workload.residual:
            total = add_parameters((0.6, ZERO_POINT), (0.6, ZERO_POINT), (1.0, ZERO_POINT), bounds)
            values = [getattr(total, name) for name in ADD_FIELDS]
            constants["add"] = np.asarray(values, np.int32)
        return constants


def port(name: str, tensor: str, array: np.ndarray) -> Port:
    """Return a float port, in the layout that the tensor has."""
    layout = "nhwc" if array.ndim == 4 else "nc"
    return Port(
        name,
        array.shape,
        "float32",
        layout,
        0.02,
        ZERO_POINT,
        tensor,
        array.shape,
        str(array.dtype),
    )


def residual_network(size: int = 8, channels: int = 32, seed: int = 0) -> Network:
    """Return a network of two convolutions with a residual, pooling, and a classifier."""
    builder = Builder((1, size, size, channels), seed=seed)
    pair = (channels, channels)
    first = builder.add(convolution(size, pair, 3, act="relu"), "input")
    second = builder.add(convolution(size, pair, act="relu", residual=True), first, "input")
    pooled = builder.add(max_pool(size, channels, 3, 2), second)
    average = builder.add(global_average(size // 2, channels), pooled)
    return builder.network(builder.add(classifier(channels, 10), average))


def resnet50(seed: int = 0) -> Network:
    """Return ResNet-50 with the layers of :mod:`vrmpy_tune.suites.resnet50`."""
    builder = Builder((1, 224, 224, 3), seed=seed)
    at = builder.add(convolution(224, (3, 64), 7, 2, act="relu"), "input", name="stem")
    at = builder.add(max_pool(112, 64, 3, 2), at)
    size, channels = 56, 64
    for stage, (inner, blocks) in enumerate(STAGES, start=1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            outer = EXPANSION * inner
            name = f"stage{stage}.{block}"
            own = builder.add(
                convolution(size, (channels, inner), act="relu"), at, name=f"{name}.reduce"
            )
            own = builder.add(
                convolution(size, (inner, inner), 3, stride, act="relu"), own, name=f"{name}.3x3"
            )
            if block == 0:
                short = convolution(size, (channels, outer), 1, stride)
                at = builder.add(short, at, name=f"{name}.shortcut")
            size //= stride
            expand = convolution(size, (inner, outer), act="relu", residual=True)
            at = builder.add(expand, own, at, name=f"{name}.expand")
            channels = outer
    at = builder.add(global_average(size, channels), at, name="average")
    return builder.network(builder.add(classifier(channels, 1000), at, name="classifier"))
