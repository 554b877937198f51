"""FAULTS.md row 19: hours of faults at random, without intervention.

``VRMPY_SOAK_SECONDS`` says how long: 120 s unless told otherwise.  ``make soak`` runs it.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.farm.jobs import run
from tests.farm.local_farm import LocalFarm, eventually, kill_process, local_farm
from vrmpy_tune.device.protocol import Device, Limits
from vrmpy_tune.measurement import Outcome

pytestmark = [
    pytest.mark.fault,
    pytest.mark.soak,
    pytest.mark.timeout(float(os.environ.get("VRMPY_SOAK_SECONDS", "120")) + 300),
]

SECONDS = float(os.environ.get("VRMPY_SOAK_SECONDS", "120"))
KEY = "soak"
SLOTS = 8
HOSTS = 2
FAULT_EVERY_S = (5.0, 15.0)
TRACKER_EVERY_S = 60.0
LEAST_BUSY = 0.95
EXPECTED = {b"good": Outcome.OK, b"crash": Outcome.CRASH, b"hang": Outcome.TIMEOUT}
WEIGHTS = {b"good": 90, b"crash": 6, b"hang": 4}
LIMITS = Limits(wall_s=3)
MOST_MEMORY_GROWTH = 64 << 20
"""Of resident memory, which allocators and the kernel round; all else is compared exactly."""
REST_S = 15.0
MOST_REST_S = 120.0


class Tuner:
    """Keeps every slot busy, and counts what comes back."""

    def __init__(self, device: Device, directory: Path) -> None:
        self._device, self._directory = device, directory
        self.stop = threading.Event()
        self.outcomes: Counter[tuple[bytes, Outcome]] = Counter()
        self.errors: list[BaseException] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, args=(i,)) for i in range(SLOTS)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(60)

    def _work(self, worker: int) -> None:
        chance = random.Random(worker)
        number = 0
        while not self.stop.is_set():
            (kind,) = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
            number += 1
            try:
                content = kind + b" %d %d" % (worker, number)
                result = run(self._device, self._directory, content, LIMITS)
            except BaseException as error:
                self.errors.append(error)
                return
            with self._lock:
                self.outcomes[kind, result.outcome] += 1
            for path in self._directory.glob(f"{content.hex()}*"):
                path.unlink()


def footprint(farm: LocalFarm) -> dict[str, int]:
    """What the farm and this process hold: processes, descriptors, threads."""
    roots = parts(farm)
    children = [child for root in roots for child in root.children(recursive=True)]
    return {
        "processes": len(roots) + len(children),
        "descriptors": sum(root.num_fds() for root in roots),
        "threads": threading.active_count(),
        "own descriptors": psutil.Process().num_fds(),
    }


def parts(farm: LocalFarm) -> list[psutil.Process]:
    return [psutil.Process(p.process.pid) for p in (*farm.hosts, farm.tracker_program)]


def resident_bytes(farm: LocalFarm) -> int:
    return sum(root.memory_info().rss for root in parts(farm))


def at_rest(farm: LocalFarm, expected: dict[str, int] | None = None) -> dict[str, int]:
    """The footprint once nothing runs: when it is as expected, or stays the same for some time."""
    seen, since, deadline = footprint(farm), time.monotonic(), time.monotonic() + MOST_REST_S
    while time.monotonic() < min(since + REST_S, deadline) and seen != expected:
        time.sleep(0.5)
        now = footprint(farm)
        if now != seen:
            seen, since = now, time.monotonic()
    return seen


def inflict(farm: LocalFarm, chance: random.Random, faults: Counter[str]) -> None:
    """Kill a process of some slot."""
    slot = chance.choice(farm.slots())
    kind = chance.choice(["worker", "server"])
    pid = slot["processes"][kind]
    if pid and psutil.pid_exists(pid):
        kill_process(pid)
        faults[f"{kind} killed"] += 1


def kill_stock_tracker(farm: LocalFarm, faults: Counter[str]) -> None:
    """Kill TVM's tracker; its supervisor starts another."""
    for child in psutil.Process(farm.tracker_program.process.pid).children():
        child.kill()
        faults["tracker killed"] += 1


def busy_seconds(farm: LocalFarm) -> float:
    return sum(float(slot["busy_s"]) for slot in farm.slots())


def test_devices_stay_busy_through_faults_at_random(tmp_path: Path) -> None:
    chance = random.Random(0)
    faults: Counter[str] = Counter()
    with local_farm() as farm:
        for _ in range(HOSTS):
            farm.serve(KEY, "python:tests.farm.devices:second", SLOTS // HOSTS)
        # A first tuner, so that all that parts of a farm keep for good is there.
        with farm.device(KEY) as device:
            first = Tuner(device, tmp_path)
            eventually(lambda: all(slot["measured"] for slot in farm.slots()), 120)
            first.join()
        before, memory = at_rest(farm), resident_bytes(farm)
        with farm.device(KEY) as device:
            idle = busy_seconds(farm)
            tuner = Tuner(device, tmp_path)
            # Counted from when leases are open and devices at work, as in the middle of a night.
            eventually(lambda: busy_seconds(farm) >= idle + SLOTS, 120)
            busy, began = busy_seconds(farm), time.monotonic()
            next_fault, next_tracker = began + 5, began + TRACKER_EVERY_S / 2
            while time.monotonic() < began + SECONDS and not tuner.errors:
                time.sleep(0.2)
                if time.monotonic() > next_tracker:
                    kill_stock_tracker(farm, faults)
                    next_tracker += TRACKER_EVERY_S
                    # Nobody can ask the farm how it is until the tracker is back.
                    eventually(lambda: len(farm.slots()) == SLOTS, 60)
                elif time.monotonic() > next_fault:
                    inflict(farm, chance, faults)
                    next_fault = time.monotonic() + chance.uniform(*FAULT_EVERY_S)
            eventually(lambda: len(farm.slots()) == SLOTS, 60)
            busy, wall = busy_seconds(farm) - busy, time.monotonic() - began
            tuner.join()
        after, grown = at_rest(farm, before), resident_bytes(farm) - memory
    share = busy / (SLOTS * wall)
    counts = {f"{kind.decode()}: {outcome}": n for (kind, outcome), n in tuner.outcomes.items()}
    print(f"\n{wall:.0f} s, busy {share:.1%}, faults {dict(faults)}, jobs {counts}")
    print(f"at rest before {before}\nat rest after  {after}\nmemory grown by {grown:,} bytes")
    assert not tuner.errors
    assert after == before
    assert grown <= MOST_MEMORY_GROWTH
    assert sum(faults.values()) >= SECONDS / FAULT_EVERY_S[1] - 1
    for (kind, outcome), number in tuner.outcomes.items():
        assert outcome is EXPECTED[kind], (kind, outcome, number)
    assert share >= LEAST_BUSY
