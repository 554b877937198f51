"""Reading a TFLite file: its tensors and operators as plain data, checked.

What is read here is rewritten to the one spelling that the integer rewrite knows
(:mod:`tflite_operators`), so that it has the names of the model's tensors and the checks of the
ONNX import.  TVM 0.27's own frontend has neither: it writes most operators as we would, with
channels last, but clips, pools and reshapes integers outside of their quantizations, averages in
32 bits, and fails at PAD, at dense layers that flatten an image, and at depthwise weights of one
scale that name the last axis.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vrmpy_tune.errors import ModelError
from vrmpy_tune.regular import check_regular

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

IDENTIFIER: Final = b"TFL3"
"""Of TFLite's flatbuffers, behind their first four bytes."""

ABSENT: Final = -1
"""Index of an optional tensor that an operator does not have."""

TYPES: Final = ("float32", "int8", "uint8", "int32", "int64")
"""Types that a tensor of a quantized model can have here, as numpy calls them."""

_DAMAGE: Final = (
    AttributeError, IndexError, KeyError, OverflowError, TypeError, UnicodeDecodeError, ValueError,
    struct.error,
)  # fmt: skip
"""What reading beyond a flatbuffer's end, or at the wrong place of it, raises."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of the model; images have their channels last.

    Attributes
    ----------
    name:
        A name that no other tensor has.
    shape, dtype:
        Extents, all positive, and one of :data:`TYPES`.
    scale, zero_point:
        Quantization, of one element or of one for each channel; ``None`` where there is none.
    axis:
        The channels' axis.
    values:
        Those of a constant.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: np.ndarray | None
    zero_point: np.ndarray | None
    axis: int
    values: np.ndarray | None


@dataclass(frozen=True)
class Operator:
    """One operator of the model.

    Attributes
    ----------
    kind:
        Its name in TFLite's schema, for example ``"CONV_2D"``.
    inputs:
        Tensors, ``None`` for optional ones that are absent.
    output:
        Its result.
    options:
        Integers by name, of the fields in :data:`OPTIONS`; ``Beta`` is a float.
    """

    kind: str
    inputs: tuple[Tensor | None, ...]
    output: Tensor
    options: Mapping[str, Any]

    def describe(self) -> str:
        """Return what messages call it; operators of TFLite have no names of their own."""
        return f"The operator {self.kind} that makes the tensor '{self.output.name}'"


@dataclass(frozen=True)
class TfliteModel:
    """The whole of a model: operators in order, and what goes in and out."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: tuple[Operator, ...]


_WINDOW: Final = ("Padding", "StrideH", "StrideW", "FusedActivationFunction")
_DILATED: Final = (*_WINDOW, "DilationHFactor", "DilationWFactor")
_POOL: Final = (*_WINDOW, "FilterHeight", "FilterWidth")
OPTIONS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "CONV_2D": ("Conv2DOptions", _DILATED),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", _DILATED),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ("FusedActivationFunction", "WeightsFormat")),
    "AVERAGE_POOL_2D": ("Pool2DOptions", _POOL),
    "MAX_POOL_2D": ("Pool2DOptions", _POOL),
    "ADD": ("AddOptions", ("FusedActivationFunction",)),
    "MUL": ("MulOptions", ("FusedActivationFunction",)),
    "CONCATENATION": ("ConcatenationOptions", ("Axis", "FusedActivationFunction")),
    "MEAN": ("ReducerOptions", ("KeepDims",)),
    "SOFTMAX": ("SoftmaxOptions", ("Beta",)),
}
"""The table of the schema that holds an operator's options, and the fields that are read of it."""


def read_tflite(path: Path) -> TfliteModel:
    """Return the model of a file.

    Raises
    ------
    ModelError
        If it cannot be read, is damaged, is not quantized or has dynamic shapes.
    """
    try:
        check_regular(path)
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist; name a TFLite file.") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not content:
        raise ModelError(f"{path} is empty; convert the model again.")
    if content[4:8] != IDENTIFIER:
        raise ModelError(
            f"{path} is not a TFLite model: it does not have the identifier "
            f"'{IDENTIFIER.decode()}'. It is another kind of file, or was cut short."
        )
    try:
        return _Reader(content, path).model()
    except _DAMAGE as error:
        raise ModelError(
            f"{path} is damaged or was cut short ({type(error).__name__} while reading its "
            "flatbuffer); convert or copy it again."
        ) from error


class _Reader:
    def __init__(self, content: bytes, path: Path) -> None:
        import tflite

        self._schema: Any = tflite
        self._path = path
        self._model = tflite.Model.GetRootAs(content)
        self._kinds = _names(tflite.BuiltinOperator)
        self._types = _names(tflite.TensorType)
        self._tensors: dict[int, Tensor] = {}
        self._used: set[str] = set()

    def model(self) -> TfliteModel:
        if self._model.SubgraphsLength() != 1:
            raise ModelError(
                f"{self._path} has {self._model.SubgraphsLength()} subgraphs; only models without "
                "control flow are supported, which have one."
            )
        graph = self._graph = self._model.Subgraphs(0)
        self._variable = {
            index for index in range(graph.TensorsLength()) if graph.Tensors(index).IsVariable()
        }
        operators = tuple(
            self._operator(graph.Operators(index)) for index in range(graph.OperatorsLength())
        )
        inputs, outputs = (
            tuple(self._tensor(index) for index in _list(numbers))
            for numbers in (graph.InputsAsNumpy(), graph.OutputsAsNumpy())
        )
        if not operators or not inputs or not outputs:
            raise ModelError(f"{self._path} computes nothing; convert the model again.")
        self._check_quantized(operators)
        return TfliteModel(inputs, outputs, operators)

    def _operator(self, found: Any) -> Operator:
        code = self._model.OperatorCodes(found.OpcodeIndex())
        # Codes beyond 127 are in a field of their own.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind = self._kinds[number]
        if kind == "CUSTOM":
            kind = f"CUSTOM ({code.CustomCode().decode()})"
        indices = _list(found.OutputsAsNumpy())
        inputs = [
            None if index == ABSENT else self._tensor(index)
            for index in _list(found.InputsAsNumpy())
        ]
        made = Operator(kind, tuple(inputs), self._tensor(indices[0]), self._options(kind, found))
        if self._variable & {*indices, *_list(found.InputsAsNumpy())}:
            raise ModelError(
                f"{made.describe()} has a variable tensor; only models without state are supported."
            )
        return made

    def _options(self, kind: str, found: Any) -> dict[str, Any]:
        table, fields = OPTIONS.get(kind, ("", ()))
        place = found.BuiltinOptions()
        if not fields or place is None:
            return dict.fromkeys(fields, 0)
        options = getattr(self._schema, table)()
        options.Init(place.Bytes, place.Pos)
        values = {field: getattr(options, field)() for field in fields}
        return {name: one if isinstance(one, float) else int(one) for name, one in values.items()}

    def _tensor(self, index: int) -> Tensor:
        if index not in self._tensors:
            if not 0 <= index < self._graph.TensorsLength():
                raise IndexError(index)
            self._tensors[index] = self._read(index, self._graph.Tensors(index))
        return self._tensors[index]

    def _read(self, index: int, found: Any) -> Tensor:
        plain = (found.Name() or b"").decode() or f"tensor{index}"
        name = plain if plain not in self._used else f"{plain}/{index}"
        self._used.add(name)
        shape = tuple(_list(found.ShapeAsNumpy()))
        self._check_static(name, shape, _list(found.ShapeSignatureAsNumpy()))
        dtype = self._types[found.Type()].lower()
        quantization = found.Quantization()
        scale = zero_point = None
        axis = 0
        if quantization is not None and quantization.ScaleLength():
            scale = np.array(quantization.ScaleAsNumpy(), np.float32)
            given = quantization.ZeroPointAsNumpy()
            points = given if quantization.ZeroPointLength() else np.zeros(scale.size)
            zero_point = np.array(points, np.int64)
            axis = int(quantization.QuantizedDimension())
            self._check_parameters(name, scale, zero_point, shape, axis)
            self._check_range(name, zero_point, dtype)
        values = None
        buffer = self._model.Buffers(found.Buffer())
        if buffer.Offset() > 1:
            raise ModelError(
                f"{self._path} keeps its constants behind the flatbuffer, as models beyond 2 GB "
                "do; only smaller ones are supported."
            )
        if buffer.DataLength():
            values = np.array(buffer.DataAsNumpy()).view(np.dtype(dtype)).reshape(shape)
        return Tensor(name, shape, dtype, scale, zero_point, axis, values)

    def _check_static(self, name: str, shape: tuple[int, ...], signature: list[int]) -> None:
        # A batch of any size is what converters write by default, and TFLite runs one as 1.
        free = [one for one in signature[1:] if one < 0]
        if free or any(extent < 1 for extent in shape):
            text = " x ".join("?" if one < 1 else str(one) for one in signature or shape)
            raise ModelError(
                f"{self._path}: the tensor '{name}' has the shape [{text}]; shapes must be static. "
                "Convert the model with fixed sizes of its inputs."
            )

    def _check_parameters(
        self, name: str, scale: np.ndarray, points: np.ndarray, shape: tuple[int, ...], axis: int
    ) -> None:
        channels = scale.size in {1, shape[axis] if axis < len(shape) else 0}
        if not channels or points.size not in (1, scale.size):
            raise ModelError(
                f"{self._path}: the tensor '{name}' of shape {list(shape)} has {scale.size} scales "
                f"and {points.size} zero points; convert the model again."
            )

    def _check_range(self, name: str, points: np.ndarray, dtype: str) -> None:
        if dtype in ("int8", "uint8"):
            limits = np.iinfo(dtype)
            if points.min() < limits.min or points.max() > limits.max:
                raise ModelError(
                    f"{self._path}: the tensor '{name}' of {dtype} has the zero point "
                    f"{points[0]}, which is none; the file may be damaged."
                )

    def _check_quantized(self, operators: tuple[Operator, ...]) -> None:
        results = [one.output for one in operators]
        if not any(one.scale is not None and one.dtype in ("int8", "uint8") for one in results):
            raise ModelError(
                f"{self._path} is a float model, or only its weights are quantized; convert it "
                "with full integer quantization (a representative data set, and "
                "tf.lite.OpsSet.TFLITE_BUILTINS_INT8)."
            )


def _names(enumeration: Any) -> dict[int, str]:
    """Return the names of a flatbuffer's enumeration by number."""
    return {
        number: name
        for name, number in vars(enumeration).items()
        if isinstance(number, int) and not name.startswith("_")
    }


def _list(numbers: Any) -> list[int]:
    """Return a vector of a flatbuffer; a missing one is the number 0."""
    return [] if isinstance(numbers, int) else [int(one) for one in numbers]


def elements(tensor: Tensor) -> int:
    """Return the number of a tensor's elements."""
    return prod(tensor.shape)
