"""Jobs, inputs and results as bytes; data only, and checked when read."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vrmpy_tune.device.protocol import Job, Limits, RunResult, TensorSpec
from vrmpy_tune.errors import FarmError
from vrmpy_tune.measurement import TIME_METRICS, Counts, EstimatedTime, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_LENGTH: Final = struct.Struct("<I")
_LARGEST_HEADER: Final = 1 << 20
_MOST_DIMENSIONS: Final = 8
_KINDS: Final = "iufb"

Arrays = tuple[np.ndarray, ...]


def encode_sets(sets: Sequence[Arrays]) -> bytes:
    """Return input sets as bytes."""
    return _pack({"sets": [_shapes(one) for one in sets]}, (array for one in sets for array in one))


def decode_sets(data: bytes) -> tuple[Arrays, ...]:
    """Return the input sets in ``data``; raises FarmError if there are none."""
    header, at = _header(data)
    try:
        sets, at = _arrays(data, at, header["sets"])
    except (KeyError, TypeError, ValueError) as error:
        raise FarmError(f"Input sets are malformed: {error}.") from error
    return sets


def encode_result(result: RunResult) -> bytes:
    """Return a result as bytes."""
    header = {
        "outcome": str(result.outcome),
        "message": result.message,
        "alignment_checked": result.alignment_checked,
        "retryable": result.retryable,
        "counts": [asdict(counts) for counts in result.counts],
        "outputs": [_shapes(one) for one in result.outputs],
    }
    return _pack(header, (array for one in result.outputs for array in one))


def decode_result(data: bytes) -> RunResult:
    """Return the result in ``data``; raises FarmError if there is none."""
    header, at = _header(data)
    try:
        outputs, _ = _arrays(data, at, header["outputs"])
        return RunResult(
            Outcome(header["outcome"]),
            str(header["message"]),
            outputs,
            tuple(_counts(one) for one in header["counts"]),
            alignment_checked=header["alignment_checked"] is True,
            retryable=header["retryable"] is True,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FarmError(f"A result is malformed: {error}.") from error


def job_to_json(job: Job, limits: Limits) -> dict[str, Any]:
    """Return all of a job but its object file."""
    return {
        "symbol": job.symbol,
        "inputs": [_spec_to_json(spec) for spec in job.inputs],
        "outputs": [_spec_to_json(spec) for spec in job.outputs],
        "time_metric": job.time_metric,
        "limits": asdict(limits),
    }


def job_from_json(value: dict[str, Any], object_file: Path) -> tuple[Job, Limits]:
    """Return a job and its limits; raises FarmError if the data is none."""
    try:
        limits = Limits(
            packets=None if value["limits"]["packets"] is None else int(value["limits"]["packets"]),
            cpu_s=float(value["limits"]["cpu_s"]),
            wall_s=float(value["limits"]["wall_s"]),
            memory_bytes=int(value["limits"]["memory_bytes"]),
        )
        if not math.isfinite(limits.cpu_s + limits.wall_s) or min(limits.cpu_s, limits.wall_s) <= 0:
            raise ValueError("limits must be finite and positive")
        specs = [
            tuple(TensorSpec(*_checked(one)) for one in value[name])
            for name in ("inputs", "outputs")
        ]
        symbol = str(value["symbol"])
        if not symbol.isidentifier():
            raise ValueError("the symbol is no identifier")
        time_metric = value.get("time_metric")
        if time_metric is not None and time_metric not in TIME_METRICS:
            raise ValueError("the time metric is unknown")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FarmError(f"A job is malformed: {error}.") from error
    return Job(object_file, symbol, specs[0], specs[1], time_metric), limits


def _counts(value: dict[str, Any]) -> Counts:
    contexts = tuple(int(one) for one in value["context_packets"])
    names = ("packets_total", "packets_critical", "instructions", "hvx_instructions")
    total, critical, instructions, hvx = (int(value[name]) for name in names)
    return Counts(total, critical, instructions, hvx, contexts, _time(value.get("time")))


def _time(value: dict[str, Any] | None) -> EstimatedTime | None:
    if value is None:
        return None
    parts = tuple((str(name), int(part)) for name, part in value["parts"])
    metric, nanoseconds = str(value["metric"]), int(value["nanoseconds"])
    if metric not in TIME_METRICS or nanoseconds < 1:
        raise ValueError("an estimated time is malformed")
    layers = tuple(time for one in value["layers"] if (time := _time(one)) is not None)
    return EstimatedTime(metric, nanoseconds, parts, layers)


def _spec_to_json(spec: TensorSpec) -> dict[str, Any]:
    return {"shape": list(spec.shape), "dtype": spec.dtype}


def _shapes(arrays: Iterable[np.ndarray]) -> list[dict[str, Any]]:
    return [{"shape": list(array.shape), "dtype": array.dtype.name} for array in arrays]


def _checked(value: dict[str, Any]) -> tuple[tuple[int, ...], str]:
    shape = tuple(int(extent) for extent in value["shape"])
    dtype = np.dtype(str(value["dtype"]))
    if len(shape) > _MOST_DIMENSIONS or min(shape, default=1) < 0 or dtype.kind not in _KINDS:
        raise ValueError(f"no tensor has shape {shape} of {dtype}")
    return shape, dtype.name


def _pack(header: dict[str, Any], arrays: Iterable[np.ndarray]) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join(
        (
            _LENGTH.pack(len(text)),
            text,
            *(np.ascontiguousarray(array).tobytes() for array in arrays),
        )
    )


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    try:
        (length,) = _LENGTH.unpack_from(data)
        if length > _LARGEST_HEADER:
            raise ValueError("the header is too long")
        at = _LENGTH.size + length
        value = json.loads(data[_LENGTH.size : at])
        if not isinstance(value, dict):
            raise ValueError("the header is no object")
    except (struct.error, ValueError, RecursionError) as error:
        raise FarmError(f"Data from the farm is malformed: {error}.") from error
    return value, at


def _arrays(
    data: bytes, at: int, sets: list[list[dict[str, Any]]]
) -> tuple[tuple[Arrays, ...], int]:
    """Return the arrays of each set, and where they end; they view ``data``."""
    found = []
    for one in sets:
        arrays = []
        for shape, dtype in map(_checked, one):
            count = math.prod(shape)
            size = count * np.dtype(dtype).itemsize
            if size > len(data) - at:
                raise ValueError("it ends too early")
            arrays.append(np.frombuffer(data, dtype, count, at).reshape(shape))
            at += size
        found.append(tuple(arrays))
    return tuple(found), at
