"""What every workload has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from vrmpy_tune.errors import WorkloadError
from vrmpy_tune.workload.inputs import draw_values

if TYPE_CHECKING:
    import numpy as np

OPERAND_TYPES: Final = ("u8", "i8")
NUMPY_TYPES: Final = {"u8": "uint8", "i8": "int8", "i32": "int32", "f32": "float32"}

MAX_EXTENT: Final = 1 << 20
"""Largest extent of one dimension, in elements."""

MAX_TENSOR_BYTES: Final = 1 << 30
"""Largest tensor, in bytes: Hexagon's user address space is 32 bits wide."""

Pair = tuple[int, int]


@dataclass(frozen=True)
class Operand:
    """One input of an operator.

    Attributes
    ----------
    name:
        What reports and ``.npz`` files call it.
    shape:
        Its plain shape.
    dtype:
        ``"u8"``, ``"i8"``, ``"i32"`` or ``"f32"``.
    constant:
        Whether it is known when the operator is compiled: weights and quantization parameters.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    constant: bool = False

    @property
    def numpy_type(self) -> str:
        """The data type's name in numpy."""
        return NUMPY_TYPES[self.dtype]


@dataclass(frozen=True)
class Workload:
    """What to compute.  Subclasses are frozen, too: a workload is a value and a key."""

    operator: ClassVar[str]
    fields: ClassVar[dict[str, int | str | None]]
    """Text fields in canonical order, each with its default; ``None`` where there is none."""

    def __str__(self) -> str:
        """Return the canonical text."""
        items = []
        for name, default in self.fields.items():
            text = _format_field(name, getattr(self, name))
            if default is None or text != str(default):
                items.append(f"{name}={text}")
        return f"{self.operator}:{','.join(items)}"

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The inputs, in the order of the arguments of :meth:`reference`."""
        raise AssertionError("a workload defines operands")

    @property
    def output(self) -> Operand:
        """Shape and data type of the output."""
        raise AssertionError("a workload defines output")

    @property
    def macs(self) -> int:
        """Multiply-accumulates that the operator asks for, without any padding to vectors."""
        raise AssertionError("a workload defines macs")

    @property
    def packet_bound(self) -> int:
        """Packets that no kernel of the operator can go below; each operator derives it."""
        raise AssertionError("a workload defines packet_bound")

    def draw(self, kind: str, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Draw the operands of one of :data:`~vrmpy_tune.workload.inputs.INPUT_SETS`."""
        return tuple(
            draw_values(kind, operand.dtype, operand.shape, generator) for operand in self.operands
        )

    def reference(self, *operands: np.ndarray) -> np.ndarray:
        """Compute the exact output with numpy, from arrays as :attr:`operands` says."""
        raise AssertionError("a workload defines reference")

    def check_range(self, limits: dict[str, tuple[int, int]]) -> None:
        """Check that fields are whole numbers (or tuples of them) between two bounds.

        Raises
        ------
        WorkloadError
            If one is not; the message names it.
        """
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

    def check_choice(self, name: str, choices: tuple[str, ...], what: str = "") -> None:
        """Check that a field is one of ``choices``; raises :class:`WorkloadError` if not."""
        value = getattr(self, name)
        if value not in choices:
            known = ", ".join(choices)
            raise WorkloadError(
                f"{self.operator}: {name}={value} is not {what or 'known'}; use one of {known}."
            )

    def check_sizes(self, **others: tuple[tuple[int, ...], int]) -> None:
        """Check that every tensor fits a Hexagon program.

        Parameters
        ----------
        others:
            Intermediate tensors by name: shape, and bytes of an element.

        Raises
        ------
        WorkloadError
            If one does not; the message names it.
        """
        tensors = {one.name: (one.shape, _ITEM_BYTES[one.dtype]) for one in self.operands}
        tensors["output"] = (self.output.shape, _ITEM_BYTES[self.output.dtype])
        for name, (shape, itemsize) in (tensors | others).items():
            size = itemsize * product(shape)
            if size > MAX_TENSOR_BYTES:
                raise WorkloadError(
                    f"{self.operator}: the {name.replace('_', ' ')} of shape {shape} takes "
                    f"{size} bytes, more than the {MAX_TENSOR_BYTES} a Hexagon program can hold; "
                    "split the operator."
                )


def ceildiv(numerator: int, denominator: int) -> int:
    """Divide, rounding up."""
    return -(-numerator // denominator)


def product(shape: tuple[int, ...]) -> int:
    """Return the number of elements of a shape."""
    size = 1
    for extent in shape:
        size *= extent
    return size


_ITEM_BYTES: Final = {"u8": 1, "i8": 1, "i32": 4, "f32": 4}


def _format_field(name: str, value: object) -> str:
    if not isinstance(value, tuple):
        return str(value)
    if name not in ("shape", "parts"):
        if len(value) == 4 and value[:2] == value[2:]:
            value = value[:2]
        if len(set(value)) == 1:
            value = value[:1]
    return "x".join(str(part) for part in value)
