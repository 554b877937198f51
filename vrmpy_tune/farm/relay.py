"""The agent's way to the tracker: a loopback port for stock servers, and what it knows."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm import frame
from vrmpy_tune.farm.channel import parse_address
from vrmpy_tune.farm.port import HANDSHAKE_S, LOOPBACK, Peer, set_options, tunnel
from vrmpy_tune.farm.tracker_link import Summary, TrackerLink

if TYPE_CHECKING:
    from vrmpy_tune.farm.secret import FarmKey

_LOG: Final = logging.getLogger(__name__)

POLL_S: Final = 1.0
"""Seconds between two looks at what the tracker knows."""

RETRY_S: Final = 1.0
"""Pause before a stock server hears that the tracker is unreachable: it tries again at once."""


async def connect_peer(address: str, key: FarmKey) -> Peer:
    """Return an authenticated connection for asynchronous code.

    Raises
    ------
    OSError, TimeoutError, asyncio.IncompleteReadError
        If nobody answers.
    RefusedError
        If the other side has another key.
    """
    host, port = parse_address(address)
    async with asyncio.timeout(HANDSHAKE_S):
        reader, writer = await asyncio.open_connection(host, port)
        set_options(writer)
        hello = frame.new_hello()
        writer.write(hello)
        reply = await reader.readexactly(frame.REPLY_BYTES)
        writer.write(frame.confirm(key, hello, reply))
        outgoing, incoming = frame.seals(key, hello, reply)
        return Peer(reader, writer, incoming, outgoing)


class TrackerRelay:
    """Leads stock servers to the tracker, and keeps an eye on it.

    Attributes
    ----------
    port:
        The loopback port that stands for the tracker.
    summary:
        What the tracker knew a second ago; None while it cannot be reached.
    """

    def __init__(self, tracker: str, key: FarmKey) -> None:
        self._tracker, self._key = tracker, key
        self._announced = ("", "")
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.summary: Summary | None = None

    async def start(self, agent: str, serves: str) -> None:
        """Listen for stock servers, and begin to watch the tracker.

        Parameters
        ----------
        agent, serves:
            Address of the agent and key of its slots, which the tracker is told.
        """
        self._announced = agent, serves
        self._server = await asyncio.start_server(self._lead, LOOPBACK, 0, backlog=512)
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop both."""
        self._watching.cancel()
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(self._watching, *self._tasks, return_exceptions=True)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            peer = await connect_peer(self._tracker, self._key)
            try:
                await peer.send_json({"do": "tracker"})
                await peer.receive_json()
                await tunnel(peer, reader, writer)
            finally:
                peer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, FarmError):
            await asyncio.sleep(RETRY_S)
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _watch(self) -> None:
        link: TrackerLink | None = None
        lost = False
        while True:
            try:
                if link is None:
                    link = await asyncio.to_thread(TrackerLink, self._tracker, self._key)
                    await asyncio.to_thread(link.announce, *self._announced)
                self.summary = await asyncio.to_thread(link.summary)
                if lost:
                    _LOG.warning("the tracker %s answers again", self._tracker)
                lost = False
            except FarmError as error:
                self.summary = None
                if not lost:
                    _LOG.warning("the tracker is unreachable: %s", error)
                lost = True
                if link is not None:
                    link.close()
                    link = None
            await asyncio.sleep(POLL_S)
