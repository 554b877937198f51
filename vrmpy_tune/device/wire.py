"""Job and result as bytes: the mirror of ``device/runtime/wire.h``."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.measurement import Counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.device.protocol import Job, TensorSpec
    from vrmpy_tune.target import HexagonTarget

STATUS_RUNTIME_FAILURE: Final = 70
"""Exit status of a run that the runtime gave up; its standard error says why."""

MAX_DIMS: Final = 8
MAX_ARGUMENTS: Final = 64

_VERSION: Final = 1
_JOB_MAGIC: Final = 0x4A4D5256
_RESULT_MAGIC: Final = 0x524D5256
_RESULT_END: Final = 0x454D5256
_MAX_CONTEXTS: Final = 16

_JOB_HEADER: Final = struct.Struct("<6IQ")
_TENSOR_HEADER: Final = struct.Struct(f"<BBHIQ{MAX_DIMS}q")
_CALL_HEADER: Final = struct.Struct(f"<i3Iq4Q{_MAX_CONTEXTS}Q2I")
_WORD: Final = struct.Struct("<I")

_DTYPE_CODES: Final = {"i": 0, "u": 1, "f": 2, "b": 6}
"""DLPack's type codes by numpy's kinds."""


class FaultKind(IntEnum):
    """What the checks after a call found."""

    NONE = 0
    BEFORE = 1
    AFTER = 2
    INPUT_CHANGED = 3


_BUFFER_CLASSES: Final = ("input", "output", "workspace allocation", "VTCM allocation")


@dataclass(frozen=True)
class Fault:
    """A store where the kernel must not store.

    Attributes
    ----------
    kind:
        Before the buffer, after it, or in an input.
    buffer:
        Which one, for example ``"output 0"``.
    offset:
        First byte found changed, from the buffer's first byte.
    """

    kind: FaultKind
    buffer: str
    offset: int

    def describe(self) -> str:
        """Say it in a sentence."""
        match self.kind:
            case FaultKind.BEFORE:
                where = f"{-self.offset} byte(s) before {self.buffer} begins"
            case FaultKind.AFTER:
                where = f"at offset {self.offset} of {self.buffer}, past its end"
            case _:
                where = f"at offset {self.offset} of {self.buffer}, which it may only read"
        return f"The kernel wrote outside its buffers: {where}."


@dataclass(frozen=True)
class Call:
    """What one kernel call left.

    Attributes
    ----------
    return_code:
        What the kernel returned; 0 is success.
    message:
        The error that it raised, if any.
    fault:
        What the checks after the call found, if anything.
    counts:
        What was counted during the call.
    outputs:
        Output arrays (read-only), if the call was good.
    """

    return_code: int
    message: str
    fault: Fault | None
    counts: Counts
    outputs: tuple[np.ndarray, ...]


def encode_job(
    job: Job, input_sets: Sequence[Sequence[np.ndarray]], target: HexagonTarget
) -> list[bytes | memoryview]:
    """Return the job in pieces, without copying the inputs.

    Raises
    ------
    ValueError
        If an input does not have the shape and data type that the job states, or the job is
        beyond the format (more than 64 arguments or 8 dimensions).
    """
    specs = (*job.inputs, *job.outputs)
    if len(specs) > MAX_ARGUMENTS:
        raise ValueError(f"A kernel may have {MAX_ARGUMENTS} arguments, not {len(specs)}.")
    header = _JOB_HEADER.pack(
        _JOB_MAGIC,
        _VERSION,
        target.contexts,
        len(job.inputs),
        len(job.outputs),
        len(input_sets),
        target.vtcm_bytes,
    )
    pieces: list[bytes | memoryview] = [header + b"".join(map(_tensor_header, specs))]
    for arrays in input_sets:
        for spec, array in zip(job.inputs, arrays, strict=True):
            if array.shape != spec.shape or array.dtype != np.dtype(spec.dtype):
                raise ValueError(
                    f"An input has shape {array.shape} and type {array.dtype}, "
                    f"but the job says {spec.shape} and {spec.dtype}."
                )
            pieces.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return pieces


def decode_result(data: bytes, outputs: Sequence[TensorSpec], contexts: int) -> list[Call] | None:
    """Return the calls of a result, or ``None`` if it ends early or is not one."""
    view = memoryview(data)
    if len(view) < _WORD.size or _WORD.unpack_from(view)[0] != _RESULT_MAGIC:
        return None
    calls: list[Call] = []
    at = _WORD.size
    while len(view) - at >= _CALL_HEADER.size:
        call, at = _decode_call(view, at, outputs, contexts)
        if call is None:
            return None
        calls.append(call)
    ended = len(view) - at == _WORD.size and _WORD.unpack_from(view, at)[0] == _RESULT_END
    return calls if ended else None


def _decode_call(
    view: memoryview, at: int, outputs: Sequence[TensorSpec], contexts: int
) -> tuple[Call | None, int]:
    """Return the call at offset ``at`` and the offset behind it."""
    return_code, kind, buffer_class, index, offset, *rest = _CALL_HEADER.unpack_from(view, at)
    total, critical, instructions, hvx, *loads = rest[: 4 + _MAX_CONTEXTS]
    message_bytes, has_outputs = rest[4 + _MAX_CONTEXTS :]
    at += _CALL_HEADER.size
    message = bytes(view[at : at + message_bytes]).decode(errors="replace")
    at += message_bytes
    arrays = []
    for spec in outputs if has_outputs else ():
        dtype = np.dtype(spec.dtype)
        count = int(np.prod(spec.shape, dtype=np.int64))
        if len(view) - at < count * dtype.itemsize:
            return None, at
        arrays.append(np.frombuffer(view, dtype, count, at).reshape(spec.shape))
        at += count * dtype.itemsize
    fault = None
    if kind != FaultKind.NONE:
        fault = Fault(FaultKind(kind), f"{_BUFFER_CLASSES[buffer_class]} {index}", offset)
    counts = Counts(total, critical, instructions, hvx, tuple(loads[:contexts]))
    return Call(return_code, message, fault, counts, tuple(arrays)), at


def _tensor_header(spec: TensorSpec) -> bytes:
    dtype = np.dtype(spec.dtype)
    if len(spec.shape) > MAX_DIMS or dtype.kind not in _DTYPE_CODES:
        raise ValueError(f"A kernel argument cannot have shape {spec.shape} of {spec.dtype}.")
    size = int(np.prod(spec.shape, dtype=np.int64)) * dtype.itemsize
    padding = (0,) * (MAX_DIMS - len(spec.shape))
    code = _DTYPE_CODES[dtype.kind]
    lanes = 1
    return _TENSOR_HEADER.pack(
        code, dtype.itemsize * 8, lanes, len(spec.shape), size, *spec.shape, *padding
    )
