"""A farm of this host's own, with a key that nobody else knows."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vrmpy_tune.closing import ClosedOnExit
from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm.port import LOOPBACK
from vrmpy_tune.farm.secret import KEY_VARIABLE, FarmKey

if TYPE_CHECKING:
    from collections.abc import Mapping

START_S: Final = 120.0
"""Seconds that a part may take to be ready on a loaded machine."""

STOP_S: Final = 20.0
"""Seconds that a part may take to end in order."""

_COMMAND: Final = "from vrmpy_tune.cli import main; main()"


class Program:
    """A ``vrmpy-tune`` command that runs until it is ended.

    Parameters
    ----------
    arguments:
        The command line without the program's name.
    environment:
        All of its environment.
    prefix:
        What is to start it, for example ``("ip", "netns", "exec", "name")``.
    """

    def __init__(
        self, *arguments: str, environment: Mapping[str, str], prefix: tuple[str, ...] = ()
    ) -> None:
        self._log = tempfile.NamedTemporaryFile(suffix=".log")  # noqa: SIM115 - lives as long
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", _COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=dict(environment),
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        """All that it wrote so far."""
        return Path(self._log.name).read_text(errors="replace")

    def wait_for(self, text: str, timeout_s: float = START_S) -> str:
        """Wait for a line with ``text`` in it and return that line.

        Raises
        ------
        FarmError
            If the program ends before, or it takes too long.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            for line in self.output.splitlines():
                if text in line:
                    return line
            if ended:
                break
            time.sleep(0.05)
        raise FarmError(f"A part of the farm did not become ready:\n{self.output[-3000:]}")

    def stop(self) -> int:
        """End it as a user would; return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def kill(self) -> None:
        """Kill it without a chance to clean up."""
        self.process.kill()
        self.process.wait()


class PrivateFarm(ClosedOnExit):
    """A tracker and hosts that serve, all of them processes of this host.

    Parameters
    ----------
    bind:
        Where they listen.
    prefix:
        What is to start them.

    Attributes
    ----------
    tracker:
        The tracker's address.
    secret:
        The farm key.
    """

    def __init__(self, *, bind: str = LOOPBACK, prefix: tuple[str, ...] = ()) -> None:
        self._secret_text = secrets.token_hex(32)
        self.secret = FarmKey(self._secret_text.encode())
        self._bind, self._prefix = bind, prefix
        self.hosts: list[Program] = []
        self.start_tracker()

    @property
    def environment(self) -> dict[str, str]:
        """Environment for programs that are to know the farm key."""
        return {**os.environ, KEY_VARIABLE: self._secret_text}

    def start_tracker(self, port: int = 0) -> None:
        """Start the tracker; raises FarmError."""
        self.tracker_program = self._program(
            "farm", "tracker", "--port", str(port), "--bind", self._bind
        )
        self.tracker = self.tracker_program.wait_for("farm tracker: ready on ").rpartition(" ")[2]

    def serve(self, key: str, device: str, slots: int = 1) -> Program:
        """Start a host that serves ``device``, and return when it is ready; raises FarmError."""
        host = self._program(
            "farm", "serve", "--tracker", self.tracker, "--key", key,
            "--device", device, "--slots", str(slots), "--bind", self._bind,
        )  # fmt: skip
        self.hosts.append(host)
        host.wait_for("ready, agent on ")
        return host

    def close(self) -> None:
        """End every part."""
        for program in (*self.hosts, self.tracker_program):
            program.stop()

    def _program(self, *arguments: str) -> Program:
        return Program(*arguments, environment=self.environment, prefix=self._prefix)
