"""Two hosts on one cable: network namespaces with a pair of virtual interfaces."""

from __future__ import annotations

import os
import subprocess
from types import TracebackType
from typing import Final, Self

import pytest

FARM_ADDRESS: Final = "10.177.31.1"
TUNER_ADDRESS: Final = "10.177.31.2"


class TwoHosts:
    """``farm`` and ``tuner``; skips where this user cannot make network namespaces."""

    def __init__(self) -> None:
        number = os.getpid()
        self.farm, self.tuner = f"vrmpy-farm-{number}", f"vrmpy-tuner-{number}"
        self._cable = f"vf{number}"
        if os.getuid() != 0:
            pytest.skip("network namespaces need root")
        try:
            _ip("netns", "add", self.farm)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"this kernel or container has no network namespaces: {error}")
        _ip("netns", "add", self.tuner)
        other = f"vt{number}"
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", other)
        for host, end, address in (
            (self.farm, self._cable, FARM_ADDRESS),
            (self.tuner, other, TUNER_ADDRESS),
        ):
            _ip("link", "set", end, "netns", host)
            _ip("-n", host, "addr", "add", f"{address}/24", "dev", end)
            _ip("-n", host, "link", "set", end, "up")
            _ip("-n", host, "link", "set", "lo", "up")

    @staticmethod
    def on(host: str) -> tuple[str, ...]:
        """What makes a command run on a host."""
        return ("ip", "netns", "exec", host)

    def cut(self) -> None:
        """Pull the cable."""
        _ip("-n", self.farm, "link", "set", self._cable, "down")

    def mend(self) -> None:
        """Put it back."""
        _ip("-n", self.farm, "link", "set", self._cable, "up")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for host in (self.farm, self.tuner):
            _ip("netns", "del", host)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
