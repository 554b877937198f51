"""Jobs for fake devices: what a job does is in its object file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tests.device.simulated import V68, job
from vrmpy_tune.device.protocol import Device, Limits, RunResult
from vrmpy_tune.measurement import Outcome

BYTES = 64


def run(device: Device, directory: Path, content: bytes, limits: Limits | None = None) -> RunResult:
    """Run one job and, if it says that all is well, check its output."""
    path = directory / f"{content[:200].hex()}.o"
    path.write_bytes(content)
    given = np.frombuffer(content.ljust(BYTES)[:BYTES], np.uint8)
    result = device.run(job(path, BYTES, BYTES), ((given,),), V68, limits or Limits(wall_s=30))
    if result.outcome is Outcome.OK:
        np.testing.assert_array_equal(result.outputs[0][0], given + np.uint8(1))
    return result


def run_all(
    device: Device,
    directory: Path,
    contents: list[bytes],
    threads: int,
    limits: Limits | None = None,
) -> list[RunResult]:
    """Run jobs from several threads at once; return their results in order."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda one: run(device, directory, one, limits), contents))


def numbered(count: int, prefix: bytes = b"good") -> list[bytes]:
    """Return the contents of ``count`` different jobs."""
    return [prefix + b" %d" % number for number in range(count)]
