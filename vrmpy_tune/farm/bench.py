"""Throughput of a farm by its number of slots, with devices that only wait."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psutil

from vrmpy_tune.device.fake import FakeDevice
from vrmpy_tune.device.protocol import Job, Limits, TensorSpec
from vrmpy_tune.device.rpc import RpcDevice
from vrmpy_tune.errors import DeviceError
from vrmpy_tune.farm.private import START_S, PrivateFarm
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.target import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MEASUREMENT_S: Final = 1.0
"""Seconds that the fake device takes for a measurement."""

SLOTS: Final = (1, 2, 4, 8, 16, 32, 64)
WINDOW_S: Final = 10.0
"""Seconds for which measurements are counted."""

SETTLE_S: Final = 2.0
"""Seconds for which every slot is busy before that."""

_BYTES: Final = 4096
_KEY: Final = "bench"
_DEVICE: Final = "python:vrmpy_tune.farm.bench:waiting_device"


def waiting_device() -> FakeDevice:
    """Return a device that takes a second and needs no processor."""
    return FakeDevice(latency_s=MEASUREMENT_S)


@dataclass(frozen=True)
class Throughput:
    """What a number of slots came to.

    Attributes
    ----------
    slots:
        Devices, and jobs at once.
    measured:
        Measurements that ended in the window.
    wall_s:
        Its length, in seconds.
    per_second, efficiency:
        Measurements a second, and their share of what as many devices could do.
    client_ms, serving_ms:
        CPU milliseconds a measurement: in the tuner's process, and in all of the farm's.
    """

    slots: int
    measured: int
    wall_s: float
    per_second: float
    efficiency: float
    client_ms: float
    serving_ms: float


def farm_throughput(
    slots: Iterable[int] = SLOTS,
    window_s: float = WINDOW_S,
    say: Callable[[str], None] = lambda _: None,
) -> list[Throughput]:
    """Measure each number of slots on a farm of its own.

    Raises
    ------
    DeviceError
        If a measurement fails.
    """
    rows = []
    for count in slots:
        say(f"{count} slots, {MEASUREMENT_S:g} s a measurement, for {window_s:g} s")
        with PrivateFarm() as farm:
            farm.serve(_KEY, _DEVICE, count)
            with RpcDevice(f"rpc://{farm.tracker}/{_KEY}?slots={count}", farm.secret) as device:
                rows.append(_measure(device, count, window_s, farm))
    return rows


def document(rows: list[Throughput]) -> dict[str, Any]:
    """Return the document of ``farm bench --json``."""
    return {
        "measurement_s": MEASUREMENT_S,
        "cores": len(os.sched_getaffinity(0)),
        "rows": [asdict(row) for row in rows],
        "next_doubling": next_doubling(rows[-1]),
    }


def table(rows: list[Throughput]) -> str:
    """Return the rows in columns."""
    lines = ["slots  measured  seconds  per second  of ideal  CPU ms tuner  CPU ms farm"]
    lines += [
        f"{row.slots:5}  {row.measured:8}  {row.wall_s:7.2f}  {row.per_second:10.2f}  "
        f"{row.efficiency:8.1%}  {row.client_ms:12.2f}  {row.serving_ms:11.2f}"
        for row in rows
    ]
    return "\n".join(lines)


def next_doubling(row: Throughput) -> str:
    """Say in a sentence what twice the slots would run into first."""
    rate = 2 * row.slots / MEASUREMENT_S
    tuner, farm = rate * row.client_ms / 1000, rate * row.serving_ms / 1000
    cores = len(os.sched_getaffinity(0))
    text = (
        f"{2 * row.slots} slots of {MEASUREMENT_S:g} s need {tuner:.2f} of a core in the tuner "
        f"and {farm:.2f} of a core on the serving side, on each of which Python runs on one core "
        f"at a time; here both share {cores}"
    )
    if tuner + farm > cores:
        return f"{text}: the processors of this machine are the limit."
    if max(tuner, farm) > 1:
        side = "tuner" if tuner > farm else "agent"
        return f"{text}: the single Python process of the {side} is the limit."
    return f"{text}: neither is the limit yet."


def plot(rows: list[Throughput], path: Path) -> None:
    """Draw throughput over slots, both logarithmic, with the ideal beside it."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    counts = [row.slots for row in rows]
    ideal = [count / MEASUREMENT_S for count in counts]
    axes.loglog(counts, ideal, "--", base=2, color="gray", label="ideal")
    axes.loglog(counts, [row.per_second for row in rows], "o-", base=2, label="measured")
    axes.set_xlabel("slots")
    axes.set_ylabel("measurements a second")
    axes.set_title(f"Farm of fake devices, {MEASUREMENT_S:g} s a measurement")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()
    figure.savefig(path)
    plt.close(figure)


def _measure(device: RpcDevice, count: int, window_s: float, farm: PrivateFarm) -> Throughput:
    """Keep every slot busy, and count what ends within a window after all are leased."""
    ended: list[float] = []
    stop = threading.Event()
    with (
        tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as name,
        ThreadPoolExecutor(count) as threads,
    ):
        loops = [
            threads.submit(_keep_busy, device, Path(name) / f"{slot}.o", ended, stop)
            for slot in range(count)
        ]
        try:
            deadline = time.monotonic() + START_S
            while len(ended) < 2 * count and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(SETTLE_S)
            began, client, serving = time.monotonic(), time.process_time(), _cpu_of(farm)
            time.sleep(window_s)
            wall = time.monotonic() - began
            client, serving = time.process_time() - client, _cpu_of(farm) - serving
        finally:
            stop.set()
        for loop in loops:
            loop.result()
    measured = sum(began <= at < began + wall for at in ended)
    return Throughput(
        slots=count,
        measured=measured,
        wall_s=round(wall, 3),
        per_second=round(measured / wall, 3),
        efficiency=round(measured / wall * MEASUREMENT_S / count, 4),
        client_ms=round(1000 * client / max(1, measured), 3),
        serving_ms=round(1000 * serving / max(1, measured), 3),
    )


def _keep_busy(device: RpcDevice, path: Path, ended: list[float], stop: threading.Event) -> None:
    """Measure a new object file again and again."""
    spec = TensorSpec((_BYTES,), "uint8")
    inputs = ((np.zeros(_BYTES, np.uint8),),)
    number = 0
    while not stop.is_set():
        path.write_bytes(f"{path.name} {number}".encode())
        job = Job(path, "main", (spec,), (spec,))
        result = device.run(job, inputs, TARGETS["hexagon-v68"], Limits(wall_s=60))
        if result.outcome is not Outcome.OK:
            raise DeviceError(f"A measurement failed: {result.message}")
        ended.append(time.monotonic())
        number += 1


def _cpu_of(farm: PrivateFarm) -> float:
    """Return CPU seconds of all of a farm's processes so far."""
    total = 0.0
    for program in (*farm.hosts, farm.tracker_program):
        root = psutil.Process(program.process.pid)
        for process in (root, *root.children(recursive=True)):
            try:
                used = process.cpu_times()
            except psutil.Error:
                continue
            total += used.user + used.system + used.children_user + used.children_system
    return total
