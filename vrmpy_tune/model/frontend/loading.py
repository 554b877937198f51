"""Reading an ONNX file, and refusing what cannot become an integer network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import onnx
from google.protobuf.message import DecodeError

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.frontend.operators import check_operators
from vrmpy_tune.model.frontend.tflite_file import IDENTIFIER
from vrmpy_tune.regular import check_regular

if TYPE_CHECKING:
    from pathlib import Path

OLDEST_OPSET: Final = 10
"""The first operator set with QuantizeLinear."""

NEWEST_OPSET: Final = 23
"""The last whose QuantizeLinear TVM 0.27 knows (``relax/frontend/onnx``)."""

QUANTIZING: Final = ("QuantizeLinear", "DequantizeLinear", "ConvInteger", "MatMulInteger", "QGemm")
"""Operators that only quantized models have, besides those whose names begin with QLinear."""

DEFAULT_DOMAINS: Final = ("", "ai.onnx")


def load_model(path: Path) -> onnx.ModelProto:
    """Return the model of a file, checked.

    Raises
    ------
    ModelError
        If it cannot be read, is not quantized, has dynamic shapes, or uses what is not supported.
    """
    model = _read(path)
    if not model.graph.node:
        raise ModelError(
            f"{path} holds no ONNX graph; it is another kind of file, or was cut short. "
            "Export the model again."
        )
    _check_opset(model, path)
    _check_quantized(model, path)
    check_operators(model)
    _check_shapes(model, path)
    _check_whole(model, path)
    return model


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operators that a model uses."""
    versions = (one.version for one in model.opset_import if one.domain in DEFAULT_DOMAINS)
    return int(next(versions, 1))


def _read(path: Path) -> onnx.ModelProto:
    try:
        check_regular(path)
        if path.stat().st_size == 0:
            raise ModelError(f"{path} is empty; export the model again.")
        with path.open("rb") as stream:
            if stream.read(8)[4:] == IDENTIFIER:
                raise ModelError(f"{path} is a TFLite model; give it a name that ends in .tflite.")
        model = onnx.load(path, load_external_data=False)
        for tensor in model.graph.initializer:
            if onnx.external_data_helper.uses_external_data(tensor):
                data = onnx.external_data_helper.ExternalDataInfo(tensor)
                check_regular(path.parent / data.location)
        onnx.load_external_data_for_model(model, str(path.parent))
        return model
    except FileNotFoundError as error:
        missing = error.filename or path
        raise ModelError(
            f"{missing} does not exist; name an ONNX file, with its external data beside it."
        ) from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read as an ONNX model: {_sentence(error)} "
            "It is another kind of file, or was cut short; export or copy it again."
        ) from error


def _check_opset(model: onnx.ModelProto, path: Path) -> None:
    opset = opset_of(model)
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise ModelError(
            f"{path} uses operator set {opset}; supported are {OLDEST_OPSET} to {NEWEST_OPSET}. "
            "Convert it with onnx.version_converter, or export it for one of these."
        )


def _check_quantized(model: onnx.ModelProto, path: Path) -> None:
    operators = {node.op_type for node in model.graph.node}
    if not any(one in QUANTIZING or one.startswith("QLinear") for one in operators):
        raise ModelError(
            f"{path} is a float model; quantize it first, "
            "for example with onnxruntime.quantization.quantize_static."
        )


def _check_shapes(model: onnx.ModelProto, path: Path) -> None:
    constants = {one.name for one in model.graph.initializer}
    for value in model.graph.input:
        extents = value.type.tensor_type.shape.dim
        text = " x ".join(one.dim_param or str(one.dim_value or "?") for one in extents)
        static = all(one.HasField("dim_value") and one.dim_value > 0 for one in extents)
        if value.name not in constants and not (extents and static):
            raise ModelError(
                f"{path}: the input '{value.name}' has the shape [{text}]; shapes must be static. "
                "Export the model with a fixed batch and size, or fix them with "
                "`python -m onnxruntime.tools.make_dynamic_shape_fixed`."
            )


def _check_whole(model: onnx.ModelProto, path: Path) -> None:
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path} is not a valid ONNX model: {_sentence(error)} Export or copy it again."
        ) from error


def _sentence(error: Any) -> str:
    """Return the first line of an error as a sentence."""
    lines = str(error).strip().splitlines()
    text = lines[0].strip().rstrip(".:") if lines else type(error).__name__
    return f"{text}."
