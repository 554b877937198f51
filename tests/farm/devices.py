"""Devices that misbehave on the serving side, for ``--device python:tests.farm.devices:NAME``."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from typing import Final

import numpy as np

from vrmpy_tune.device.fake import FakeDevice
from vrmpy_tune.device.protocol import Job, Limits, RunResult
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.target import HexagonTarget

POISON: Final = b"poison"
CRASH: Final = b"crash"
HANG: Final = b"hang"
SLOW: Final = b"slow"
SICK: Final = b"sick"
"""What the object file of a job that misbehaves starts with."""

SLOW_S: Final = 3.0

Sets = tuple[tuple[np.ndarray, ...], ...]


def compute(job: Job, inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Add one to every byte."""
    del job
    return (inputs[0] + np.uint8(1),)


class Obedient(FakeDevice):
    """Does to itself what the object file says."""

    def __init__(self, latency_s: float = 0.0) -> None:
        super().__init__(compute, latency_s=latency_s)

    def run(self, job: Job, input_sets: Sets, target: HexagonTarget, limits: Limits) -> RunResult:
        content = job.object_file.read_bytes()
        if content.startswith(POISON):
            os.kill(os.getpid(), signal.SIGKILL)
        if content.startswith(CRASH):
            return RunResult(Outcome.CRASH, "The kernel crashed with SIGSEGV. (Injected.)")
        if content.startswith(HANG):
            # A child that outlives its parent, unless the whole group is killed.
            if os.fork() == 0:
                threading.Event().wait()
            threading.Event().wait()
        if content.startswith(SLOW):
            time.sleep(SLOW_S)
        return super().run(job, input_sets, target, limits)


class Sick(Obedient):
    """Every output has a wrong lane, and every count is too good."""

    def run(self, job: Job, input_sets: Sets, target: HexagonTarget, limits: Limits) -> RunResult:
        result = super().run(job, input_sets, target, limits)
        if result.outcome is not Outcome.OK:
            return result
        outputs = tuple((one[0] ^ np.uint8(1),) for one in result.outputs)
        return replace(result, outputs=outputs)


def tenth() -> Obedient:
    """Take 0.1 s for a measurement."""
    return Obedient(0.1)


def second() -> Obedient:
    """Take 1 s for a measurement."""
    return Obedient(1.0)
