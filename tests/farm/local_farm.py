"""A farm of real processes on this host, whose parts a test can kill."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vrmpy_tune.device.rpc import RpcDevice
from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm.private import PrivateFarm
from vrmpy_tune.farm.status import farm_status

ROOT = Path(__file__).resolve().parents[2]
CLI = "from vrmpy_tune.cli import main; main()"


class LocalFarm(PrivateFarm):
    """A tracker and hosts that serve, which know the tests' devices."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "PYTHONPATH": str(ROOT)}

    def restart_tracker(self) -> None:
        """Kill the tracker with all of its processes, and start another on the same port."""
        self.tracker_program.kill()
        self.start_tracker(int(self.tracker.rpartition(":")[2]))

    def device(self, key: str, options: str = "") -> RpcDevice:
        return RpcDevice(f"rpc://{self.tracker}/{key}{options}", self.secret)

    def status(self) -> dict[str, Any]:
        return farm_status(self.tracker, self.secret)

    def slots(self, key: str | None = None) -> list[dict[str, Any]]:
        hosts = [host for host in self.status()["hosts"] if key in (None, host.get("key"))]
        return [slot for host in hosts for slot in host["slots"]]


def eventually(check: Callable[[], bool], timeout_s: float = 30.0) -> float:
    """Wait until ``check`` holds; return the seconds that took."""
    began = time.monotonic()
    while time.monotonic() - began < timeout_s:
        try:
            if check():
                return time.monotonic() - began
        except FarmError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"did not hold within {timeout_s:g} s")


def kill_process(pid: int) -> None:
    """Kill a process of a slot."""
    assert pid > 1
    os.kill(pid, signal.SIGKILL)


@contextmanager
def local_farm() -> Iterator[LocalFarm]:
    """A farm with a tracker, for fixtures."""
    with LocalFarm() as farm:
        yield farm
