"""TVM's tracker protocol, with deadlines, through the tracker's authenticated port."""

from __future__ import annotations

import json
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.closing import ClosedOnExit
from vrmpy_tune.farm.channel import CONNECT_S, Channel, LinkError
from vrmpy_tune.farm.tunnel import Tunnel

if TYPE_CHECKING:
    from collections.abc import Callable

    from vrmpy_tune.farm.secret import FarmKey

TRACKER_MAGIC: Final = struct.pack("<i", 0x2F271)
"""``RPC_TRACKER_MAGIC`` of ``tvm/rpc/base.py``."""

_REQUEST: Final = 4
_UPDATE_INFO: Final = 5
_SUMMARY: Final = 6
_SUCCESS: Final = 0
"""``TrackerCode`` there."""

_SERVER: Final = "server:"
_AGENT: Final = "server-agent:agents"
_CLIENT: Final = "server-client:waiting"
"""Names under which the tracker lists stock servers, and our agents and waiting clients among them.

TVM's tracker lists what begins with "server"; its own programs count by what is behind the colon.
"""

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
        Key, agent and port of every registered server.  After a restart of the tracker, one that
        is leased registers when its lease ends.
    hosts:
        Key and agent of every host that serves.
    free, pending:
        Free servers and waiting requests by key.
    waiting:
        Key, priority and tuner of each waiting request that is a tuner's of ours.
    """

    servers: tuple[tuple[str, str, int], ...]
    hosts: tuple[tuple[str, str], ...]
    free: dict[str, int]
    pending: dict[str, int]
    waiting: tuple[tuple[str, int, str], ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys that somebody serves, sorted."""
        return tuple(sorted({key for key, _ in self.hosts}))

    def agents(self, key: str | None = None) -> tuple[str, ...]:
        """Return the addresses of the agents, of one key or of all, sorted."""
        return tuple(sorted({agent for k, agent in self.hosts if key in (None, k)}))

    def slots(self, key: str) -> int:
        """Return how many servers are registered under ``key``."""
        return sum(1 for k, _, _ in self.servers if k == key)


class TrackerLink(ClosedOnExit):
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
        told = [one for one in answer[1]["server_info"] if "addr" in one]
        servers = [
            (str(one["key"]).removeprefix(_SERVER), str(one["addr"][0]), int(one["addr"][1]))
            for one in told
            if str(one["key"]).startswith(_SERVER)
        ]
        hosts = [(str(one["serves"]), str(one["addr"][0])) for one in told if one["key"] == _AGENT]
        queues = answer[1]["queue_info"]
        return Summary(
            tuple(sorted(servers)),
            tuple(sorted(hosts)),
            {key: int(queue["free"]) for key, queue in queues.items()},
            {key: int(queue["pending"]) for key, queue in queues.items()},
            tuple(
                (str(one["wants"]), int(one["priority"]), str(one["tuner"]))
                for one in told
                if one["key"] == _CLIENT
            ),
        )

    def announce(self, agent: str, key: str, timeout_s: float = CONNECT_S) -> None:
        """Have the tracker list a host for as long as this connection lasts; raises LinkError."""
        self._tell({"key": _AGENT, "addr": [agent, 0], "serves": key}, timeout_s)

    def request(
        self, key: str, priority: int, tuner: str = "", queued: Callable[[], None] = lambda: None
    ) -> Offer:
        """Wait for a free server under ``key``, as long as it takes.

        The tracker serves higher priorities first, and equal ones in order.  :meth:`close` from
        another thread ends the wait.

        Parameters
        ----------
        key, priority, tuner:
            What is wanted, how urgently (higher is more), and by whom.
        queued:
            Called when the request has been sent.

        Raises
        ------
        LinkError
            If the tracker gives no sign of life.
        """
        # The tracker itself tells nobody the priorities of those who wait.
        self._tell({"key": _CLIENT, "wants": key, "priority": priority, "tuner": tuner})
        self._say([_REQUEST, key, "", priority])
        queued()
        agent, port, match_key = self._hear(_FOR_EVER)[1]
        self._tell({"key": _CLIENT, "wants": ""})
        return Offer(str(agent), int(port), str(match_key))

    def keep(self) -> None:
        """Answer signs of life; raises LinkError if there are none."""
        self._tunnel.keep()

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def _tell(self, info: dict[str, Any], timeout_s: float = CONNECT_S) -> None:
        self._say([_UPDATE_INFO, {"addr": ["", 0], **info}])
        self._hear(time.monotonic() + timeout_s)

    def _say(self, message: list[Any]) -> None:
        data = json.dumps(message).encode()
        self._tunnel.write(_INT.pack(len(data)) + data)

    def _hear(self, deadline: float) -> list[Any]:
        (length,) = _INT.unpack(self._tunnel.read(_INT.size, deadline))
        if not 0 < length <= _LARGEST:
            raise LinkError(f"{self._address} is no TVM RPC tracker.")
        answer = json.loads(self._tunnel.read(length, max(deadline, time.monotonic() + CONNECT_S)))
        values = answer if isinstance(answer, list) else [answer]
        if not values or values[0] != _SUCCESS:
            raise LinkError(f"The tracker at {self._address} refused: {str(answer)[:200]}.")
        return values
