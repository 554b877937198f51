"""Messages between the processes of one serving host, on a socket that only its user reaches."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

LENGTH: Final = struct.Struct("<Q")
_CHUNK: Final = 1 << 18


def connect(path: Path) -> socket.socket:
    """Return a connection to the agent."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(str(path))
    return connection


def send(connection: socket.socket, message: bytes) -> None:
    """Send one message."""
    connection.sendall(LENGTH.pack(len(message)) + message)


def receive(connection: socket.socket) -> bytes:
    """Return the next message; raises EOFError if there will be none."""
    (length,) = LENGTH.unpack(_read(connection, LENGTH.size))
    return _read(connection, length)


async def send_async(writer: asyncio.StreamWriter, message: bytes) -> None:
    """Send one message."""
    writer.write(LENGTH.pack(len(message)))
    writer.write(message)
    await writer.drain()


async def receive_async(reader: asyncio.StreamReader) -> bytes:
    """Return the next message; raises asyncio.IncompleteReadError if there will be none."""
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    return await reader.readexactly(length)


def _read(connection: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = connection.recv(min(size, _CHUNK))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
