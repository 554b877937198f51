"""A farm of real processes on this host, whose parts a test can kill."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vrmpy_tune.device.rpc import RpcDevice
from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm.agent_link import AgentLink
from vrmpy_tune.farm.secret import KEY_VARIABLE, FarmKey
from vrmpy_tune.farm.status import farm_status
from vrmpy_tune.farm.tracker_link import TrackerLink

ROOT = Path(__file__).resolve().parents[2]
START_S = 90.0
CLI = "from vrmpy_tune.cli import main; main()"


class Program:
    """A ``vrmpy-tune`` command that runs until it is ended."""

    def __init__(
        self, *arguments: str, environment: dict[str, str], prefix: tuple[str, ...] = ()
    ) -> None:
        self._log = tempfile.NamedTemporaryFile(suffix=".log")  # noqa: SIM115 - lives as long
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", CLI, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def wait_for(self, text: str, timeout_s: float = START_S) -> str:
        """Return the first line with ``text`` in it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for line in self.output.splitlines():
                if text in line:
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"no '{text}' in the output:\n{self.output[-3000:]}")

    def stop(self) -> int:
        """End it as a user would; return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def kill(self) -> None:
        """Kill it without a chance to clean up."""
        self.process.kill()
        self.process.wait()


class LocalFarm:
    """A tracker and hosts that serve; all end with the test."""

    def __init__(self, *, prefix: tuple[str, ...] = (), bind: str = "127.0.0.1") -> None:
        self.secret_text = secrets.token_hex(16)
        self.secret = FarmKey(self.secret_text.encode())
        self._prefix, self._bind = prefix, bind
        self.hosts: list[Program] = []
        self.start_tracker()

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), KEY_VARIABLE: self.secret_text}

    def start_tracker(self, port: int = 0) -> None:
        arguments = ("farm", "tracker", "--port", str(port), "--bind", self._bind)
        self.tracker_program = self._program(*arguments)
        line = self.tracker_program.wait_for("farm tracker: ready on ")
        self.tracker = line.rpartition(" ")[2]

    def restart_tracker(self) -> None:
        """Kill the tracker with all of its processes, and start another on the same port."""
        self.tracker_program.kill()
        self.start_tracker(int(self.tracker.rpartition(":")[2]))

    def serve(self, key: str, device: str, slots: int = 1) -> Program:
        host = self._program(
            "farm", "serve", "--tracker", self.tracker, "--key", key,
            "--device", device, "--slots", str(slots), "--bind", self._bind,
        )  # fmt: skip
        self.hosts.append(host)
        host.wait_for("ready, agent on ")
        return host

    def device(self, key: str, options: str = "") -> RpcDevice:
        return RpcDevice(f"rpc://{self.tracker}/{key}{options}", self.secret)

    def status(self) -> dict[str, Any]:
        return farm_status(self.tracker, self.secret)

    def slots(self, key: str | None = None) -> list[dict[str, Any]]:
        hosts = [host for host in self.status()["hosts"] if key in (None, host.get("key"))]
        return [slot for host in hosts for slot in host["slots"]]

    def agents(self, key: str) -> list[AgentLink]:
        with TrackerLink(self.tracker, self.secret) as link:
            return [AgentLink(agent, self.secret) for agent in link.summary().agents(key)]

    def close(self) -> None:
        for program in (*self.hosts, self.tracker_program):
            program.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _program(self, *arguments: str) -> Program:
        return Program(*arguments, environment=self.environment, prefix=self._prefix)


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
    farm = LocalFarm()
    try:
        yield farm
    finally:
        farm.close()
