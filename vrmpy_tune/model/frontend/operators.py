"""Which ONNX operators can become integer kernels, and what would help with the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import ModelError

if TYPE_CHECKING:
    import onnx

PLAIN: Final = (
    "Add", "AveragePool", "Clip", "Concat", "Constant", "Conv", "DequantizeLinear", "Flatten",
    "Gemm", "GlobalAveragePool", "Identity", "MatMul", "MaxPool", "Mul", "QuantizeLinear",
    "ReduceMean", "Relu", "Reshape", "Softmax", "Squeeze", "Sum", "Transpose",
    "Unsqueeze",
)  # fmt: skip
"""Operators that the importer and the rules take; Softmax at the model's end, for the host."""

QUANTIZED: Final = (
    "Cast", "ConvInteger", "MatMulInteger", "QGemm", "QLinearAdd", "QLinearAveragePool",
    "QLinearConcat", "QLinearConv", "QLinearGlobalAveragePool", "QLinearMatMul", "QLinearMul",
    "QLinearSoftmax",
)  # fmt: skip
"""Operators that normalization replaces by plain ones between quantizations."""

_CUT: Final = "cut the model before it and compute the rest on the host"
_STATIC: Final = "quantize the model statically, with scales from calibration"

REMEDIES: Final = {
    "BatchNormalization": "fold it into the convolution before quantizing "
    "(onnxruntime.quantization.preprocess does)",
    "LogSoftmax": _CUT,
    "ArgMax": _CUT,
    "TopK": _CUT,
    "NonMaxSuppression": _CUT,
    "DynamicQuantizeLinear": _STATIC,
    "DynamicQuantizeMatMul": _STATIC,
    "MatMulNBits": "quantize weights and activations to 8 bits",
    "Dropout": "export the model for inference",
    "If": "export the model without control flow",
    "Loop": "export the model without control flow",
    "Scan": "export the model without control flow",
}
"""What the user can do about operators that are not supported."""

_NEW_KERNEL: Final = (
    "it would need a workload, a search space in search_spaces/ and a rule in "
    "vrmpy_tune/model/rules/"
)


def check_operators(model: onnx.ModelProto) -> None:
    """Check that every node can become part of an integer network.

    Raises
    ------
    ModelError
        If one cannot; the message names the node, and what would support it.
    """
    for node in model.graph.node:
        if node.op_type not in PLAIN and node.op_type not in QUANTIZED:
            domain = f"{node.domain}." if node.domain else ""
            name = node.name or node.output[0]
            raise ModelError(
                f"The node '{name}' is a {domain}{node.op_type}, which has no integer kernel: "
                f"{REMEDIES.get(node.op_type, _NEW_KERNEL)}."
            )
