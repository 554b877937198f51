"""A tuning run without compiler and simulator: every part that costs time is replaced."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vrmpy_tune.device.fake import Compute
from vrmpy_tune.device.protocol import Job
from vrmpy_tune.target import HexagonTarget
from vrmpy_tune.toolchain.codegen import CodeGenerator, Generated
from vrmpy_tune.verification import Verifier

if TYPE_CHECKING:
    from vrmpy_tune.workload import Workload


class FakePool:
    """Returns each module as its own "code"; ``fail`` may raise for a request, by its number."""

    def __init__(self, fail: Callable[[int], None] = lambda _: None) -> None:
        self.requests = 0
        self._fail = fail
        self._lock = threading.Lock()

    def generate(self, module: str, target: HexagonTarget, *, by_tvm: bool) -> str:
        with self._lock:
            number = self.requests
            self.requests += 1
        self._fail(number)
        return module

    def __enter__(self) -> FakePool:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def fake_object(
    text: str, generator: CodeGenerator, target: HexagonTarget, directory: Path, *_: Any
) -> Generated:
    """Write an "object file" that is the same for the same text and code generator."""
    path = directory / "kernel.o"
    path.write_text(hashlib.sha256(f"{generator.name} {text}".encode()).hexdigest())
    return Generated("", path, generator.name)


def oracle(*workloads: Workload) -> Compute:
    """Return what computes the right outputs of these workloads on the verifier's inputs."""
    known = {
        (one.expected.shape, one.operands[0].tobytes()): one.expected
        for workload in workloads
        for one in Verifier(workload).input_sets
    }

    def compute(job: Job, inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        return (known[job.outputs[0].shape, inputs[0].tobytes()].copy(),)

    return compute
