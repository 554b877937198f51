"""A stream of bytes to one of the stock ports, through an authenticated connection."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm import frame
from vrmpy_tune.farm.channel import LinkError, LinkTimeoutError
from vrmpy_tune.farm.frame import Kind

if TYPE_CHECKING:
    from vrmpy_tune.farm.channel import Channel

HEARTBEAT_S: Final = 2.0
"""Seconds between two signs of life of the serving side, each of which is answered."""

LOST_S: Final = 10.0
"""Seconds without a sign of life after which either side gives the other up."""


class Tunnel:
    """Bytes through a channel that the serving side has turned into a tunnel.

    Attributes
    ----------
    told:
        What the serving side's last sign of life said.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._bytes = bytearray()
        self._heard = time.monotonic()
        self._reading = threading.Lock()
        self.told: dict[str, Any] = {}

    def write(self, data: bytes) -> None:
        """Send bytes; raises LinkError."""
        self._channel.send_data(data)

    def read(self, size: int, deadline: float) -> bytes:
        """Return exactly ``size`` bytes.

        Parameters
        ----------
        deadline:
            On the monotonic clock.

        Raises
        ------
        LinkTimeoutError
            If the deadline passes while the other side gives signs of life.
        LinkError
            If it does not, or the connection ends.
        """
        with self._reading:
            while len(self._bytes) < size:
                if time.monotonic() >= deadline:
                    raise LinkTimeoutError(f"{self._channel.address} has not answered in time.")
                self._take(deadline)
            data = bytes(self._bytes[:size])
            del self._bytes[:size]
            return data

    def keep(self) -> None:
        """Answer the signs of life that came, unless somebody is reading, who does.

        Raises
        ------
        LinkError
            If there have been none for too long, or the connection ended.
        """
        if not self._reading.acquire(blocking=False):
            return
        try:
            while True:
                self._take(time.monotonic())
        except LinkTimeoutError:
            self._check_heard()
        finally:
            self._reading.release()

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def _take(self, deadline: float) -> None:
        """Take one frame, or return after a while without one; raise if there was no sign long."""
        left = deadline - time.monotonic()
        try:
            kind, content = self._channel.receive(max(0.0, min(left, HEARTBEAT_S)))
        except LinkTimeoutError:
            self._check_heard()
            if left <= 0:
                raise
            return
        self._heard = time.monotonic()
        if kind is Kind.DATA:
            self._bytes += content
        elif kind is Kind.PING:
            self.told = frame.from_json(content)
            self._channel.send(Kind.PING, b"{}")
        else:
            said = frame.from_json(content).get("error", "it ended the tunnel")
            raise FarmError(f"{self._channel.address}: {said}")

    def _check_heard(self) -> None:
        silent = time.monotonic() - self._heard
        if silent > LOST_S:
            raise LinkError(
                f"{self._channel.address} has given no sign of life for {silent:.0f} s."
            )
