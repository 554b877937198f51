"""Workloads: what to compute, as frozen specifications with a canonical text.

``dense:m=128,n=768,k=768,lhs=u8,rhs=u8`` and
``conv2d:n=1,h=56,w=56,ci=64,co=64,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8``
parse to :class:`Dense` and :class:`Conv2d`; ``str(workload)`` prints the canonical text back, with
fields in a fixed order and defaults left out.  Records are found by that text.
"""

from vrmpy_tune.workload.base import (
    MAX_EXTENT,
    MAX_TENSOR_BYTES,
    NUMPY_TYPES,
    OPERAND_TYPES,
    Operand,
    Pair,
    Workload,
    ceildiv,
)
from vrmpy_tune.workload.contraction import Contraction
from vrmpy_tune.workload.conv2d import LAYOUTS, Conv2d
from vrmpy_tune.workload.conversion import Dequantize, Quantize
from vrmpy_tune.workload.dense import Dense
from vrmpy_tune.workload.depthwise import DepthwiseConv2d
from vrmpy_tune.workload.elementwise import Clip, QuantizedAdd, QuantizedMultiply
from vrmpy_tune.workload.movement import Concat, Layout, Pad
from vrmpy_tune.workload.parse import MAX_TEXT, OPERATORS, parse_workload
from vrmpy_tune.workload.pooling import AvgPool2d, GlobalAvgPool2d, MaxPool2d

__all__ = [
    "LAYOUTS",
    "MAX_EXTENT",
    "MAX_TENSOR_BYTES",
    "MAX_TEXT",
    "NUMPY_TYPES",
    "OPERAND_TYPES",
    "OPERATORS",
    "AvgPool2d",
    "Clip",
    "Concat",
    "Contraction",
    "Conv2d",
    "Dense",
    "DepthwiseConv2d",
    "Dequantize",
    "GlobalAvgPool2d",
    "Layout",
    "MaxPool2d",
    "Operand",
    "Pad",
    "Pair",
    "Quantize",
    "QuantizedAdd",
    "QuantizedMultiply",
    "Workload",
    "ceildiv",
    "parse_workload",
]
