"""The serving side of authenticated connections: one port, on which every peer proves itself."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm import frame
from vrmpy_tune.farm.frame import FRAME_TAG_BYTES, HEADER, Kind
from vrmpy_tune.farm.tunnel import HEARTBEAT_S, LOST_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vrmpy_tune.farm.secret import FarmKey

_LOG: Final = logging.getLogger(__name__)

HANDSHAKE_S: Final = 5.0
"""Seconds that a peer may take to prove itself."""

_BUFFER: Final = 1 << 20
"""Bytes that a connection reads ahead."""

LOOPBACK: Final = "127.0.0.1"


class Peer:
    """An authenticated connection, as the serving side has it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        incoming: frame.Seal,
        outgoing: frame.Seal,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._incoming, self._outgoing = incoming, outgoing
        self.name = name_of(writer)

    async def receive(self) -> tuple[Kind, bytes]:
        """Return the next frame.

        Raises
        ------
        asyncio.IncompleteReadError
            If the connection ends.
        RefusedError
            If the frame is not what the peer sent.
        """
        header = await self._reader.readexactly(HEADER.size)
        length = frame.content_length(header)
        content = await self._reader.readexactly(length)
        tag = await self._reader.readexactly(FRAME_TAG_BYTES)
        return self._incoming.unpack(header, content, tag), content

    async def receive_json(self) -> dict[str, Any]:
        """Return the next JSON frame, passing over signs of life; raises as :meth:`receive`."""
        while True:
            kind, content = await self.receive()
            if kind is Kind.JSON:
                return frame.from_json(content)
            if kind is Kind.DATA:
                raise frame.RefusedError("It sends data where a question was due.")

    async def send(self, kind: Kind, content: bytes) -> None:
        """Send one frame."""
        self._writer.write(self._outgoing.pack(kind, content))
        await self._writer.drain()

    def post(self, kind: Kind, content: bytes) -> None:
        """Send one frame without waiting for it to leave."""
        self._writer.write(self._outgoing.pack(kind, content))

    async def send_json(self, value: dict[str, Any]) -> None:
        """Send one JSON frame."""
        await self.send(Kind.JSON, frame.to_json(value))

    async def send_data(self, data: bytes) -> None:
        """Send bytes in as many frames as it takes."""
        for start in range(0, len(data), frame.PIECE):
            await self.send(Kind.DATA, data[start : start + frame.PIECE])

    def close(self) -> None:
        """End the connection."""
        self._writer.close()


class Port:
    """Listens, lets peers prove themselves, and hands them to ``serve``.

    Parameters
    ----------
    key:
        The farm key.
    serve:
        Called with each peer that proved itself, for as long as the connection lasts.  A
        :class:`FarmError` that it raises is logged and told to the peer.
    plain:
        Called instead with what comes from this host and does not speak our protocol: its
        first bytes, and the connection.
    """

    def __init__(
        self,
        key: FarmKey,
        serve: Callable[[Peer], Awaitable[None]],
        plain: Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
        | None = None,
    ) -> None:
        self._key, self._serve, self._plain = key, serve, plain
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.refused = 0

    async def listen(self, host: str, port: int) -> int:
        """Start listening; return the port, which is a free one if 0 was asked for.

        Raises
        ------
        FarmError
            If the address is taken or is not this host's.
        """
        try:
            self._server = await asyncio.start_server(
                self._accept, host, port, limit=_BUFFER, backlog=512
            )
        except OSError as error:
            raise FarmError(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        set_options(writer)
        try:
            peer = await self._prove(reader, writer)
            if peer is not None:
                await self._attend(peer)
        except (frame.RefusedError, TimeoutError) as error:
            self.refused += 1
            reason = str(error) or "it does not prove itself in time."
            _LOG.warning("refused %s: %s", name_of(writer), reason)
        except (asyncio.IncompleteReadError, OSError):
            pass  # the peer went away
        except asyncio.CancelledError:
            pass  # the port closes
        finally:
            self._tasks.discard(task)
            with suppress(Exception):
                writer.close()

    async def _prove(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Peer | None:
        """Shake hands, or hand the connection to ``plain`` and return None when that is over."""
        async with asyncio.timeout(HANDSHAKE_S):
            first = await reader.readexactly(len(frame.MAGIC))
            if first == frame.MAGIC:
                hello = first + await reader.readexactly(frame.NONCE_BYTES)
                reply = frame.reply_to(self._key, hello)
                writer.write(reply)
                await writer.drain()
                frame.check_proof(self._key, hello, reply, await reader.readexactly(32))
                incoming, outgoing = frame.seals(self._key, hello, reply)
                return Peer(reader, writer, incoming, outgoing)
        if self._plain is None or not is_local(writer):
            raise frame.RefusedError("It does not speak the farm's protocol.")
        await self._plain(first, reader, writer)
        return None

    async def _attend(self, peer: Peer) -> None:
        try:
            await self._serve(peer)
        except frame.RefusedError:
            raise
        except FarmError as error:
            self.refused += 1
            _LOG.warning("refused %s: %s", peer.name, error)
            await peer.send_json({"error": str(error)})


def name_of(writer: asyncio.StreamWriter) -> str:
    """Return the address of the other side, for messages."""
    address = writer.get_extra_info("peername")
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "a local process"


def is_local(writer: asyncio.StreamWriter) -> bool:
    """Whether the other side is on this host's loopback interface."""
    address = writer.get_extra_info("peername")
    return isinstance(address, tuple) and str(address[0]) in (LOOPBACK, "::1")


def set_options(writer: asyncio.StreamWriter) -> None:
    """Send small frames at once."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def tunnel(
    peer: Peer,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    tell: Callable[[], dict[str, Any]] | None = None,
) -> bool:
    """Pass DATA frames of ``peer`` on as bytes, and bytes back as frames, until either side ends.

    Parameters
    ----------
    tell:
        Returns what to say in each sign of life; without it, those of the peer are answered.

    Returns
    -------
    lost:
        Whether the peer was given up because it gave no sign of life.
    """
    heard = time.monotonic()

    async def inwards() -> None:
        nonlocal heard
        while True:
            kind, content = await peer.receive()
            heard = time.monotonic()
            if kind is Kind.DATA:
                writer.write(content)
                await writer.drain()
            elif kind is Kind.JSON:
                return
            elif tell is None:
                peer.post(Kind.PING, b"{}")

    async def outwards() -> None:
        while data := await reader.read(frame.PIECE):
            await peer.send(Kind.DATA, data)

    async def watch() -> None:
        while time.monotonic() - heard < LOST_S:
            if tell is not None:
                peer.post(Kind.PING, frame.to_json(tell()))
            await asyncio.sleep(HEARTBEAT_S)

    watching = asyncio.create_task(watch())
    tasks = [watching, asyncio.create_task(inwards()), asyncio.create_task(outwards())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            with suppress(asyncio.IncompleteReadError, OSError):
                task.result()
        return watching in done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.close()


async def pipe(
    first: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    second: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Pass bytes between two connections until either ends."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(frame.PIECE):
            writer.write(data)
            await writer.drain()

    tasks = [
        asyncio.create_task(copy(first[0], second[1])),
        asyncio.create_task(copy(second[0], first[1])),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        first[1].close()
        second[1].close()
