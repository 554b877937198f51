"""The client's control connection to one agent: artifacts, status, complaints."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.farm.blobs import sign
from vrmpy_tune.farm.channel import Channel, LinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vrmpy_tune.farm.secret import FarmKey

TRANSFER_S: Final = 60.0
"""Seconds that an upload may take."""


class AgentLink:
    """Talks to one agent; several threads may, one after another.

    Parameters
    ----------
    address, key:
        Where it listens, and the farm key.
    """

    def __init__(self, address: str, key: FarmKey) -> None:
        self.address, self._key = address, key
        self._lock = threading.Lock()
        self._channel: Channel | None = None
        self._uploaded: set[str] = set()

    def status(self) -> dict[str, Any]:
        """Return the agent's part of ``farm status --json``; raises LinkError, RefusedError."""
        with self._lock:
            return self._trying(lambda channel: channel.ask({"do": "status"}))

    def complain(self, port: int, reason: str) -> None:
        """Say that a slot returned what cannot be right; raises LinkError, RefusedError."""
        with self._lock:
            question = {"do": "complain", "port": port, "reason": reason}
            self._trying(lambda channel: channel.ask(question))

    def upload(self, blobs: Mapping[str, bytes]) -> None:
        """Have the agent keep artifacts, each of which is sent once.

        Raises
        ------
        LinkError, RefusedError
            If the agent cannot be reached or trusted.
        FarmError
            If it refuses one.
        """
        for digest, content in blobs.items():
            with self._lock:
                if digest not in self._uploaded:
                    self._put(digest, content)

    def forget(self, digests: list[str]) -> None:
        """Note that the agent does not have these artifacts after all."""
        with self._lock:
            self._uploaded.difference_update(digests)

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._drop()

    def _put(self, digest: str, content: bytes) -> None:
        offer = {
            "do": "put",
            "digest": digest,
            "bytes": len(content),
            "tag": sign(self._key, digest),
        }

        def put(channel: Channel) -> dict[str, Any]:
            channel.ask(offer)
            channel.send_data(content)
            return channel.answer(TRANSFER_S)

        self._trying(put)
        self._uploaded.add(digest)

    def _trying(self, act: Callable[[Channel], dict[str, Any]]) -> dict[str, Any]:
        """Act on the connection there is, or once more on a new one if that has ended."""
        if self._channel is not None:
            try:
                return act(self._channel)
            except LinkError:
                self._drop()
            except BaseException:
                self._drop()
                raise
        self._channel = Channel(self.address, self._key)
        try:
            return act(self._channel)
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
