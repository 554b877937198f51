"""A device for tests: computes outputs on the host and misbehaves on order."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.closing import ClosedOnExit
from vrmpy_tune.device.protocol import DeviceInfo, RunResult
from vrmpy_tune.errors import DeviceError
from vrmpy_tune.measurement import PACKET_METRICS, Counts, Outcome
from vrmpy_tune.target import TARGETS

if TYPE_CHECKING:
    from vrmpy_tune.device.protocol import Job, Limits
    from vrmpy_tune.target import HexagonTarget

Compute = Callable[["Job", tuple[np.ndarray, ...]], tuple[np.ndarray, ...]]
"""Returns a job's outputs for one input set."""


class Fault(StrEnum):
    """What a run does."""

    OK = "ok"
    CRASH = "crash"
    HANG = "hang"
    """Sleeps until its wall-clock limit."""
    WRONG_LANE = "wrong-lane"
    """Changes one element of the last output."""
    LOST = "lost"
    """The device vanishes during the run."""


_FAILED: Final = {
    Fault.CRASH: RunResult(Outcome.CRASH, "The kernel crashed with SIGSEGV. (Injected.)"),
    Fault.LOST: RunResult(
        Outcome.DEVICE_LOST, "The device vanished during the run. (Injected.)", retryable=True
    ),
}

_LEAST_PACKETS: Final = 1000
_PACKET_RANGE: Final = 9000


def zeros(job: Job, inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Compute nothing: every output is zero."""
    del inputs
    return tuple(np.zeros(spec.shape, spec.dtype) for spec in job.outputs)


def packets_of_object(job: Job) -> int:
    """Return 1000 to 9999 packets, the same for the same object file and symbol."""
    try:
        content = job.object_file.read_bytes()
    except OSError:
        content = str(job.object_file).encode()
    digest = hashlib.sha256(content + job.symbol.encode()).digest()
    return _LEAST_PACKETS + int.from_bytes(digest[:8], "little") % _PACKET_RANGE


def parse_faults(text: str) -> dict[int, Fault]:
    """Return the plan that ``text`` writes out: one fault per run, separated by commas.

    Raises
    ------
    DeviceError
        If a word is not a fault.
    """
    words = text.split(",") if text else []
    try:
        return {run: Fault(word.strip()) for run, word in enumerate(words)}
    except ValueError as error:
        known = ", ".join(Fault)
        raise DeviceError(
            f"The fake device has no fault like that: {error}. Known: {known}."
        ) from None


class FakeDevice(ClosedOnExit):
    """Runs no code; deterministic, and safe to use from several threads.

    Parameters
    ----------
    compute:
        Returns the outputs of a job for one input set.
    packets:
        Returns the packets that a job takes.
    faults:
        What the run with each number (from 0) does; ``OK`` where nothing is said.
    latency_s:
        Seconds that every run takes.
    slots:
        Kernels that it says it can run at once.
    """

    def __init__(
        self,
        compute: Compute = zeros,
        *,
        packets: Callable[[Job], int] = packets_of_object,
        faults: Mapping[int, Fault] | None = None,
        latency_s: float = 0.0,
        slots: int = 1,
    ) -> None:
        self._compute = compute
        self._packets = packets
        self._faults = dict(faults or {})
        self._latency_s = latency_s
        self._slots = slots
        self._runs = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()

    @property
    def runs(self) -> int:
        """Runs that were started."""
        return self._runs

    def info(self) -> DeviceInfo:
        """Describe the device."""
        self._require_open()
        runnable = tuple(target.name for target in TARGETS.values() if target.qemu_cpu)
        return DeviceInfo("fake device", runnable, PACKET_METRICS, self._slots, limits_packets=True)

    def run(
        self,
        job: Job,
        input_sets: tuple[tuple[np.ndarray, ...], ...],
        target: HexagonTarget,
        limits: Limits,
    ) -> RunResult:
        """Compute the outputs, or do what the plan says for this run.

        Raises
        ------
        DeviceError
            If the device is closed, or the target is one that no device runs.
        """
        self._require_open()
        if not target.qemu_cpu:
            raise DeviceError(f"The fake device cannot run {target.name}.")
        with self._lock:
            fault = self._faults.get(self._runs, Fault.OK)
            self._runs += 1
        if fault is Fault.HANG:
            self._closed.wait(limits.wall_s)
            message = f"The kernel was still running after {limits.wall_s:g} s of wall-clock time."
            return RunResult(Outcome.TIMEOUT, message, retryable=True)
        time.sleep(self._latency_s)
        if fault in _FAILED:
            return _FAILED[fault]
        packets = self._packets(job)
        if limits.packets is not None and packets > limits.packets:
            return RunResult(Outcome.CUT, f"The kernel was cut after {limits.packets} packets.")
        outputs = [self._compute(job, inputs) for inputs in input_sets]
        if fault is Fault.WRONG_LANE:
            outputs = [(*arrays[:-1], _with_one_lane_changed(arrays[-1])) for arrays in outputs]
        idle = (0,) * (target.contexts - 1)
        counts = Counts(packets, packets, 2 * packets, packets, (packets, *idle))
        return RunResult(Outcome.OK, outputs=tuple(outputs), counts=(counts,) * len(input_sets))

    def close(self) -> None:
        """Release the device and wake the runs that hang."""
        self._closed.set()

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise DeviceError("The fake device is closed. Open another one.")


def _with_one_lane_changed(array: np.ndarray) -> np.ndarray:
    changed = array.copy()
    lane = changed.reshape(-1)[-1:]
    lane[...] = lane ^ 1 if changed.dtype.kind in "iu" else lane + 1
    return changed
