"""Jobs, inputs and results survive the way, and nonsense is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrmpy_tune.device.protocol import Job, Limits, RunResult, TensorSpec
from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm import codec
from vrmpy_tune.measurement import HVX_TIME_8GEN1, Counts, EstimatedTime, Outcome

JOB = Job(Path("k.o"), "main", (TensorSpec((3, 31), "uint8"),), (TensorSpec((), "int32"),))


def test_jobs_come_back() -> None:
    limits = Limits(packets=7, wall_s=3.5)
    value = json.loads(json.dumps(codec.job_to_json(JOB, limits)))
    assert codec.job_from_json(value, Path("k.o")) == (JOB, limits)
    timed = replace(JOB, time_metric=HVX_TIME_8GEN1)
    value = json.loads(json.dumps(codec.job_to_json(timed, limits)))
    assert codec.job_from_json(value, Path("k.o")) == (timed, limits)


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": "a b"},
        {"symbol": "../x"},
        {"inputs": [{"shape": [-1], "dtype": "uint8"}]},
        {"inputs": [{"shape": [1] * 9, "dtype": "uint8"}]},
        {"inputs": [{"shape": [1], "dtype": "object"}]},
        {"outputs": None},
        {"time_metric": "hvx-time/none/1"},
        {"limits": {}},
        {"limits": {"packets": None, "cpu_s": 1, "wall_s": float("inf"), "memory_bytes": 1}},
        {"limits": {"packets": None, "cpu_s": 1, "wall_s": 0, "memory_bytes": 1}},
    ],
)
def test_a_malformed_job_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(FarmError, match="job is malformed"):
        codec.job_from_json({**codec.job_to_json(JOB, Limits()), **change}, Path("k.o"))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "float32", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 7), (31, 32, 33)])
def test_arrays_come_back_bit_for_bit(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    ((got, turned),) = codec.decode_sets(codec.encode_sets([(array, array.T)]))
    np.testing.assert_array_equal(got, array)
    np.testing.assert_array_equal(turned, array.T)
    assert got.dtype == array.dtype


def test_results_come_back() -> None:
    time = EstimatedTime(HVX_TIME_8GEN1, 70, (("issue", 60), ("memory", 10)))
    time = replace(time, layers=(replace(time, nanoseconds=40), replace(time, nanoseconds=20)))
    counts = Counts(10, 5, 20, 3, (4, 3, 2, 1), time)
    result = RunResult(
        Outcome.OK,
        outputs=((np.arange(7, dtype=np.int32),), (np.zeros((2, 2), np.uint8),)),
        counts=(counts, counts),
        alignment_checked=True,
    )
    got = codec.decode_result(codec.encode_result(result))
    assert (got.outcome, got.counts, got.alignment_checked) == (Outcome.OK, (counts, counts), True)
    np.testing.assert_array_equal(got.outputs[0][0], result.outputs[0][0])
    lost = RunResult(Outcome.TIMEOUT, "Too slow.", retryable=True)
    assert codec.decode_result(codec.encode_result(lost)) == lost


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    for decode in (codec.decode_result, codec.decode_sets):
        with pytest.raises(FarmError):
            decode(data)


def test_a_result_cut_short_is_refused() -> None:
    data = codec.encode_result(RunResult(Outcome.OK, outputs=((np.zeros(64, np.int32),),)))
    with pytest.raises(FarmError, match="too early"):
        codec.decode_result(data[:-1])
