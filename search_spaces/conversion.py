"""Search spaces of conversions between floating point and 8 bits, element by element.

HVX of the supported devices has no floating point that the simulator runs, so that these use scalar
instructions.  A quotient is the product with the reciprocal, corrected by what is left over, which
fused multiplications have exactly (P. W. Markstein, "Computation of elementary functions on the IBM
RISC System/6000 processor", IBM J. Res. Dev. 34, 1990): division in four instructions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import tvm
from tvm.tirx.script import builder as T

from search_spaces.blocks import argument
from search_spaces.nests import Nest, NestSpace, block, function, module
from vrmpy_tune.quantize import LIMITS
from vrmpy_tune.workload import Dequantize, Quantize
from vrmpy_tune.workload.base import product

if TYPE_CHECKING:
    from vrmpy_tune.workload import Workload

GROUP: Final = 64
"""Elements of an iteration of the outer loop."""

MAX_BODY: Final = 16
"""Most elements in an unrolled body."""

FAR: Final = 4096.0
"""Quotients beyond this are bounds of the result; kept finite, so that no difference is NaN."""

ELEMENT_PACKETS: Final = {"quantize": 7.0, "dequantize": 3.0}
"""Packets of an element in a long body; read off generated code."""

LOOP_PACKETS: Final = 3
"""Packets that an unrolled body adds; read off generated code."""


@dataclass(frozen=True)
class ConversionSpace(NestSpace):
    """Scalar floating point, several elements in an unrolled body."""

    def module(self, workload: Workload) -> tvm.IRModule:  # noqa: D102
        groups = product(workload.output.shape) // GROUP
        with function(workload) as builder:
            buffers = [
                argument(one.name, one.shape, one.numpy_type)
                for one in (*workload.operands, workload.output)
            ]
            for nest in self.nests(workload):
                with block(nest, buffers[:-1], buffers[-1]) as axes:
                    rest = nest.block == "rest"
                    at = groups * GROUP + axes[0] if rest else axes[0] * GROUP + axes[1]
                    _convert(workload, buffers, at)
        return module(builder)

    def nests(self, workload: Workload) -> tuple[Nest, ...]:  # noqa: D102
        groups, rest = divmod(product(workload.output.shape), GROUP)
        nests = [Nest("elements", (groups, GROUP), (1, MAX_BODY))] if groups else []
        if rest:
            nests.append(Nest("rest", (rest,), (1,)))
        return tuple(nests)

    def cost(self, workload: Workload, tile: tuple[int, ...]) -> float:  # noqa: D102
        each = ELEMENT_PACKETS[workload.operator] + LOOP_PACKETS / tile[-1]
        return product(workload.output.shape) * each


def _convert(workload: Workload, buffers: list[Any], at: Any) -> None:
    source, scale, zero_point, output = buffers
    value = source[_flat(source, at)]
    if isinstance(workload, Dequantize):
        result = T.cast(T.cast(value, "int32") - zero_point[0], "float32") * scale[0]
    else:
        assert isinstance(workload, Quantize)  # what ``applies`` accepts is one
        low, high = LIMITS[workload.dtype]
        whole = _scalar("conv.sf2w", "int32", _quotient(value, scale[0]))
        # First to where adding the zero point cannot overflow.
        whole = T.max(T.min(whole, 1024), -1024) + zero_point[0]
        result = T.cast(T.max(T.min(whole, high), low), output.dtype)
    T.buffer_store(output, result, list(_flat(output, at)))


def _quotient(value: Any, scale: Any) -> Any:
    reciprocal = T.float32(1) / scale
    far = T.float32(FAR)
    near = T.max(T.min(value * reciprocal, far), -far)
    left_over = _scalar("sffms", "float32", value, near, scale)
    return _scalar("sffma", "float32", near, left_over, reciprocal)


def _scalar(name: str, dtype: str, *operands: Any) -> Any:
    intrinsic = T.llvm_lookup_intrinsic_id(f"llvm.hexagon.F2.{name}")
    return T.call_llvm_pure_intrin(dtype, intrinsic, *operands)


def _flat(buffer: Any, at: Any) -> tuple[Any, ...]:
    return (*[0] * (len(buffer.shape) - 1), at)


SPACES: Final = tuple(
    ConversionSpace(operator, 1, "scalar floating point, several elements in an unrolled body")
    for operator in ("quantize", "dequantize")
)
