"""TVM's tracker protocol, with deadlines, through the tracker's authenticated port."""

from __future__ import annotations

import json
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.farm.channel import CONNECT_S, Channel, LinkError
from vrmpy_tune.farm.tunnel import Tunnel

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from vrmpy_tune.farm.secret import FarmKey

TRACKER_MAGIC: Final = struct.pack("<i", 0x2F271)
"""``RPC_TRACKER_MAGIC`` of ``tvm/rpc/base.py``."""

_REQUEST: Final = 4
_SUMMARY: Final = 6
_SUCCESS: Final = 0
"""``TrackerCode`` there."""

_LARGEST: Final = 16 << 20
_INT: Final = struct.Struct("<i")
_FOR_EVER: Final = float("inf")


@dataclass(frozen=True)
class Offer:
    """A free slot, as the tracker hands it out; once.

    Attributes
    ----------
    agent:
        Address of the port of the agent beside it.
    port:
        Port of the stock RPC server on the agent's host.
    match_key:
        What the stock server expects its client to say.
    """

    agent: str
    port: int
    match_key: str


@dataclass(frozen=True)
class Summary:
    """What the tracker knows.

    Attributes
    ----------
    servers:
        Key, agent and port of every registered server.
    free, pending:
        Free servers and waiting requests by key.
    """

    servers: tuple[tuple[str, str, int], ...]
    free: dict[str, int]
    pending: dict[str, int]

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys that somebody serves, sorted."""
        return tuple(sorted({key for key, _, _ in self.servers}))

    def agents(self, key: str | None = None) -> tuple[str, ...]:
        """Return the addresses of the agents, of one key or of all, sorted."""
        return tuple(sorted({agent for k, agent, _ in self.servers if key in (None, k)}))

    def slots(self, key: str) -> int:
        """Return how many servers are registered under ``key``."""
        return sum(1 for k, _, _ in self.servers if k == key)


class TrackerLink:
    """A connection to the tracker; for one thread at a time.

    Parameters
    ----------
    address:
        ``"host:port"`` of ``vrmpy-tune farm tracker``.
    key:
        The farm key.

    Raises
    ------
    LinkError, RefusedError
        If it cannot be reached or trusted.
    """

    def __init__(self, address: str, key: FarmKey, timeout_s: float = CONNECT_S) -> None:
        deadline = time.monotonic() + timeout_s
        self._address = address
        self._channel = Channel(address, key, timeout_s)
        try:
            self._channel.ask({"do": "tracker"}, timeout_s)
            self._tunnel = Tunnel(self._channel)
            self._tunnel.write(TRACKER_MAGIC)
            if self._tunnel.read(len(TRACKER_MAGIC), deadline) != TRACKER_MAGIC:
                raise LinkError(f"{address} is no TVM RPC tracker.")
        except BaseException:
            self._channel.close()
            raise

    def summary(self, timeout_s: float = CONNECT_S) -> Summary:
        """Return what the tracker knows; raises LinkError."""
        self._say([_SUMMARY])
        answer = self._hear(time.monotonic() + timeout_s)
        servers = [
            (str(one["key"]).removeprefix("server:"), str(one["addr"][0]), int(one["addr"][1]))
            for one in answer[1]["server_info"]
            if "addr" in one
        ]
        queues = answer[1]["queue_info"]
        return Summary(
            tuple(sorted(servers)),
            {key: int(queue["free"]) for key, queue in queues.items()},
            {key: int(queue["pending"]) for key, queue in queues.items()},
        )

    def request(self, key: str, priority: int) -> Offer:
        """Wait for a free server under ``key``, as long as it takes.

        The tracker serves higher priorities first, and equal ones in order.  :meth:`close` from
        another thread ends the wait.

        Raises
        ------
        LinkError
            If the tracker gives no sign of life.
        """
        self._say([_REQUEST, key, "", priority])
        agent, port, match_key = self._hear(_FOR_EVER)[1]
        return Offer(str(agent), int(port), str(match_key))

    def keep(self) -> None:
        """Answer signs of life; raises LinkError if there are none."""
        self._tunnel.keep()

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _say(self, message: list[Any]) -> None:
        data = json.dumps(message).encode()
        self._tunnel.write(_INT.pack(len(data)) + data)

    def _hear(self, deadline: float) -> list[Any]:
        (length,) = _INT.unpack(self._tunnel.read(_INT.size, deadline))
        if not 0 < length <= _LARGEST:
            raise LinkError(f"{self._address} is no TVM RPC tracker.")
        answer = json.loads(self._tunnel.read(length, max(deadline, time.monotonic() + CONNECT_S)))
        if not isinstance(answer, list) or not answer or answer[0] != _SUCCESS:
            raise LinkError(f"The tracker at {self._address} refused: {str(answer)[:200]}.")
        return answer
