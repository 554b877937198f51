"""Workloads: what to compute, as frozen specifications with a canonical text.

``dense:m=128,n=768,k=768,lhs=u8,rhs=u8`` and
``conv2d:n=1,h=56,w=56,ci=64,co=64,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8``
parse to :class:`Dense` and :class:`Conv2d`; ``str(workload)`` prints the canonical text back, with
fields in a fixed order and defaults left out.  Records are found by that text.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from vrmpy_tune.errors import WorkloadError

if TYPE_CHECKING:
    import numpy as np

OPERAND_TYPES: Final = ("u8", "i8")
NUMPY_TYPES: Final = {"u8": "uint8", "i8": "int8", "i32": "int32"}
LAYOUTS: Final = ("nhwc", "nchw")

MAX_EXTENT: Final = 1 << 20
"""Largest extent of one dimension, in elements."""

MAX_TENSOR_BYTES: Final = 1 << 30
"""Largest tensor, in bytes: Hexagon's user address space is 32 bits wide."""

MAX_TEXT: Final = 1024
"""Longest workload text, in characters."""

Pair = tuple[int, int]


@dataclass(frozen=True)
class Workload:
    """What every workload has in common.

    Attributes
    ----------
    lhs, rhs:
        Data types of the activations and of the weights: ``"u8"`` or ``"i8"``.
    """

    operator: ClassVar[str]
    fields: ClassVar[dict[str, int | str | None]]
    """Text fields in canonical order, each with its default; ``None`` where there is none."""

    def __str__(self) -> str:
        """Return the canonical text."""
        items = []
        for name, default in self.fields.items():
            text = _format_field(getattr(self, name))
            if default is None or text != str(default):
                items.append(f"{name}={text}")
        return f"{self.operator}:{','.join(items)}"

    @property
    def macs(self) -> int:
        """Multiply-accumulates that the operator asks for, without any padding to vectors."""
        raise AssertionError("a workload defines macs")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the activations."""
        raise AssertionError("a workload defines input_shape")

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights in their plain layout."""
        raise AssertionError("a workload defines weight_shape")

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the int32 output."""
        raise AssertionError("a workload defines output_shape")

    @property
    def packet_bound(self) -> int:
        """Packets that no kernel of the vector-by-scalar forms can go below.

        ``ceil(outputs / 32) x ceil(depth / 4)`` vrmpy a pixel at two a packet; without the two
        where one pixel gives weights no reuse (HARDWARE.md: one vector load a packet).
        """
        raise AssertionError("a workload defines packet_bound")

    def reference(self, activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Compute the exact int32 output with numpy.

        Parameters
        ----------
        activations, weights:
            Arrays of :attr:`input_shape` and :attr:`weight_shape` in the workload's data types.
        """
        raise AssertionError("a workload defines reference")

    def _check(self, limits: dict[str, tuple[int, int]]) -> None:
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            for extent in value if isinstance(value, tuple) else (value,):
                if isinstance(extent, bool) or not isinstance(extent, int):
                    raise WorkloadError(
                        f"{self.operator}: {name} must be a whole number, not {extent!r}."
                    )
                if not low <= extent <= high:
                    raise WorkloadError(
                        f"{self.operator}: {name}={extent} is out of range; "
                        f"it must lie between {low} and {high}."
                    )
        for name in ("lhs", "rhs"):
            if getattr(self, name) not in OPERAND_TYPES:
                raise WorkloadError(
                    f"{self.operator}: {name}={getattr(self, name)} is not a data type vrmpy "
                    f"multiplies; use one of {', '.join(OPERAND_TYPES)}."
                )

    def _check_tensors(self, **others: tuple[tuple[int, ...], int]) -> None:
        sizes = {
            "input": (self.input_shape, 1),
            "weights": (self.weight_shape, 1),
            "output": (self.output_shape, 4),
            **others,
        }
        for name, (shape, itemsize) in sizes.items():
            size = itemsize * _product(shape)
            if size > MAX_TENSOR_BYTES:
                raise WorkloadError(
                    f"{self.operator}: the {name.replace('_', ' ')} of shape {shape} takes "
                    f"{size} bytes, more than the {MAX_TENSOR_BYTES} a Hexagon program can hold; "
                    "split the operator."
                )


@dataclass(frozen=True)
class Dense(Workload):
    """A matrix product: ``output[m, n] = sum over k of lhs[m, k] * rhs[n, k]``.

    Attributes
    ----------
    m, n, k:
        Rows of the activations, output features, and depth.  Activations are ``[m, k]``,
        weights ``[n, k]``, the int32 output ``[m, n]``, all row-major.
    """

    m: int
    n: int
    k: int
    lhs: str = "u8"
    rhs: str = "u8"

    operator: ClassVar[str] = "dense"
    fields: ClassVar[dict[str, int | str | None]] = dict.fromkeys(("m", "n", "k", "lhs", "rhs"))

    def __post_init__(self) -> None:
        self._check(dict.fromkeys(("m", "n", "k"), (1, MAX_EXTENT)))
        self._check_tensors()

    @property
    def macs(self) -> int:  # noqa: D102
        return self.m * self.n * self.k

    @property
    def input_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (self.m, self.k)

    @property
    def weight_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (self.n, self.k)

    @property
    def output_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (self.m, self.n)

    @property
    def packet_bound(self) -> int:  # noqa: D102
        multiplies = ceildiv(self.n, 32) * self.m * ceildiv(self.k, 4)
        return multiplies if self.m == 1 else ceildiv(multiplies, 2)

    def reference(self, activations: np.ndarray, weights: np.ndarray) -> np.ndarray:  # noqa: D102
        return _exact_matmul(activations, weights.T)


@dataclass(frozen=True)
class Conv2d(Workload):
    """A 2-D convolution with int32 accumulation; borders are padded with zeros.

    Attributes
    ----------
    n, h, w, ci, co, kh, kw:
        Batch, input height and width, channels in and out, kernel height and width.
    stride, dilation:
        Down and across; one number in the text where both are equal, else ``2x1``.
    pad:
        Zero rows and columns added: top, left, bottom, right; ``1``, ``1x2`` (vertical,
        horizontal) or ``0x0x1x1`` in the text.
    groups:
        Groups of channels; weights are ``[co, kh, kw, ci / groups]``.
    layout:
        Layout of activations and output, ``"nhwc"`` or ``"nchw"``.
    """

    n: int
    h: int
    w: int
    ci: int
    co: int
    kh: int
    kw: int
    stride: Pair = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    lhs: str = "u8"
    rhs: str = "u8"
    layout: str = "nhwc"

    operator: ClassVar[str] = "conv2d"
    fields: ClassVar[dict[str, int | str | None]] = {
        **dict.fromkeys(("n", "h", "w", "ci", "co", "kh", "kw", "stride", "pad")),
        "dilation": 1,
        "groups": 1,
        "lhs": None,
        "rhs": None,
        "layout": "nhwc",
    }

    def __post_init__(self) -> None:
        object.__setattr__(self, "stride", _as_pair(self.stride, "stride"))
        object.__setattr__(self, "dilation", _as_pair(self.dilation, "dilation"))
        object.__setattr__(self, "pad", _as_pads(self.pad))
        names = ("n", "h", "w", "ci", "co", "kh", "kw", "stride", "dilation", "groups")
        self._check(dict.fromkeys(names, (1, MAX_EXTENT)) | {"pad": (0, MAX_EXTENT)})
        if self.layout not in LAYOUTS:
            raise WorkloadError(f"conv2d: layout={self.layout} is not one of {', '.join(LAYOUTS)}.")
        if self.ci % self.groups or self.co % self.groups:
            raise WorkloadError(
                f"conv2d: groups={self.groups} must divide both ci={self.ci} and co={self.co}."
            )
        height, width = self.padded_size
        reach_h = (self.kh - 1) * self.dilation[0] + 1
        reach_w = (self.kw - 1) * self.dilation[1] + 1
        if reach_h > height or reach_w > width:
            raise WorkloadError(
                f"conv2d: the kernel reaches over {reach_h} x {reach_w} pixels, more than the "
                f"padded input of {height} x {width}; enlarge h, w or pad, or use a smaller kernel."
            )
        self._check_tensors(padded_input=((self.n, height, width, self.ci), 1))

    @property
    def padded_size(self) -> Pair:
        """Height and width of the input after zero padding."""
        top, left, bottom, right = self.pad
        return self.h + top + bottom, self.w + left + right

    @property
    def output_size(self) -> Pair:
        """Height and width of the output."""
        height, width = self.padded_size
        return (
            (height - (self.kh - 1) * self.dilation[0] - 1) // self.stride[0] + 1,
            (width - (self.kw - 1) * self.dilation[1] - 1) // self.stride[1] + 1,
        )

    @property
    def macs(self) -> int:  # noqa: D102
        height, width = self.output_size
        return self.n * height * width * self.co * self.kh * self.kw * (self.ci // self.groups)

    @property
    def input_shape(self) -> tuple[int, ...]:  # noqa: D102
        if self.layout == "nchw":
            return (self.n, self.ci, self.h, self.w)
        return (self.n, self.h, self.w, self.ci)

    @property
    def weight_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (self.co, self.kh, self.kw, self.ci // self.groups)

    @property
    def output_shape(self) -> tuple[int, ...]:  # noqa: D102
        height, width = self.output_size
        if self.layout == "nchw":
            return (self.n, self.co, height, width)
        return (self.n, height, width, self.co)

    @property
    def packet_bound(self) -> int:  # noqa: D102
        height, width = self.output_size
        vectors = self.groups * ceildiv(self.co // self.groups, 32)
        depth = self.kh * self.kw * ceildiv(self.ci // self.groups, 4)
        pixels = self.n * height * width
        multiplies = vectors * pixels * depth
        return multiplies if pixels == 1 else ceildiv(multiplies, 2)

    def reference(self, activations: np.ndarray, weights: np.ndarray) -> np.ndarray:  # noqa: D102
        import numpy as np

        nhwc = activations.transpose(0, 2, 3, 1) if self.layout == "nchw" else activations
        top, left, bottom, right = self.pad
        padded = np.pad(nhwc, ((0, 0), (top, bottom), (left, right), (0, 0)))
        height, width = self.output_size
        (stride_h, stride_w), (dilation_h, dilation_w) = self.stride, self.dilation
        depth, outputs = self.ci // self.groups, self.co // self.groups
        result = np.zeros((self.n, height, width, self.co), np.int32)
        for row in range(self.kh):
            for column in range(self.kw):
                top_row, left_column = row * dilation_h, column * dilation_w
                window = padded[
                    :,
                    top_row : top_row + (height - 1) * stride_h + 1 : stride_h,
                    left_column : left_column + (width - 1) * stride_w + 1 : stride_w,
                ]
                for group in range(self.groups):
                    ins = slice(group * depth, (group + 1) * depth)
                    outs = slice(group * outputs, (group + 1) * outputs)
                    pixels = window[..., ins].reshape(-1, depth)
                    part = _exact_matmul(pixels, weights[outs, row, column].T)
                    result[..., outs] += part.reshape(self.n, height, width, outputs)
        return result.transpose(0, 3, 1, 2) if self.layout == "nchw" else result


OPERATORS: Final[dict[str, type[Dense | Conv2d]]] = {"dense": Dense, "conv2d": Conv2d}
"""Every operator by name."""

_FIELD: Final = re.compile(r"([a-z]+)=([a-z0-9x.+-]+)")


def parse_workload(text: str) -> Dense | Conv2d:
    """Parse a workload's text.

    Raises
    ------
    WorkloadError
        If the text is malformed or names an impossible operator; the message says which field,
        and which values it may have.
    """
    if len(text) > MAX_TEXT:
        raise WorkloadError(f"A workload's text has at most {MAX_TEXT} characters.")
    operator, colon, rest = text.strip().partition(":")
    if operator not in OPERATORS or not colon:
        known = " or ".join(f"'{name}:...'" for name in OPERATORS)
        raise WorkloadError(f"'{text[:80]}' is not a workload; it must begin with {known}.")
    kind = OPERATORS[operator]
    values: dict[str, object] = {}
    for item in rest.split(","):
        match = _FIELD.fullmatch(item.strip())
        if match is None:
            raise WorkloadError(f"{operator}: '{item[:40]}' is not of the form name=value.")
        name, value = match.groups()
        if name not in kind.fields:
            raise WorkloadError(
                f"{operator}: there is no field '{name}'; the fields are {', '.join(kind.fields)}."
            )
        if name in values:
            raise WorkloadError(f"{operator}: the field '{name}' is given twice.")
        values[name] = _parse_value(operator, name, value)
    required = [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.name not in values
    ]
    if required:
        raise WorkloadError(f"{operator}: {', '.join(required)} must be given.")
    return kind(**values)  # type: ignore[arg-type]


def ceildiv(numerator: int, denominator: int) -> int:
    """Divide, rounding up."""
    return -(-numerator // denominator)


def _parse_value(operator: str, name: str, value: str) -> object:
    if name in ("lhs", "rhs", "layout"):
        return value
    parts = value.split("x")
    if not all(re.fullmatch(r"-?[0-9]{1,18}", part) for part in parts):
        raise WorkloadError(f"{operator}: {name}={value} must be a whole number.")
    numbers = tuple(int(part) for part in parts)
    if len(numbers) == 1:
        return numbers[0]
    if name not in ("stride", "dilation", "pad"):
        raise WorkloadError(f"{operator}: {name}={value} must be one whole number.")
    return numbers


def _format_field(value: object) -> str:
    if isinstance(value, tuple):
        if len(value) == 4 and value[:2] == value[2:]:
            value = value[:2]
        if len(set(value)) == 1:
            value = value[:1]
        return "x".join(str(part) for part in value)
    return str(value)


def _as_pair(value: object, name: str) -> tuple[object, object]:
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise WorkloadError(f"conv2d: {name} takes one number or two, not {len(value)}.")
        return value[0], value[1]
    return value, value


def _as_pads(value: object) -> tuple[object, ...]:
    if isinstance(value, tuple | list):
        if len(value) == 2:
            return (*value, *value)
        if len(value) != 4:
            raise WorkloadError(f"conv2d: pad takes one, two or four numbers, not {len(value)}.")
        return tuple(value)
    return (value,) * 4


def _product(shape: tuple[int, ...]) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size


def _exact_matmul(lhs: np.ndarray, rhs: np.ndarray) -> np.ndarray:
    """Multiply 8-bit matrices exactly, through float64 BLAS: every sum is below 2**53."""
    import numpy as np

    product = lhs.astype(np.float64) @ rhs.astype(np.float64)
    return product.astype(np.int64).astype(np.int32)
