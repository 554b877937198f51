"""Authenticated frames: what two hosts of a farm say to each other.

After a handshake in which each side proves that it knows the farm key, every frame carries a tag
over its direction, its number, its kind and its content, under a key made for this connection.  So
nothing can be forged, altered, replayed, reordered or dropped unseen.  Nothing is encrypted.

A frame is ``<length of content: u32> <kind: u8> <content> <tag: 16 bytes>``.  The handshake is

    client  ``VTF1`` and 16 random bytes
    server  ``VTF1``, 16 random bytes, and the tag of both as "server"
    client  the tag of both as "client"
"""

from __future__ import annotations

import hmac
import json
import secrets
import struct
from enum import IntEnum
from typing import Any, Final

from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm.secret import TAG_BYTES, FarmKey

MAGIC: Final = b"VTF1"
NONCE_BYTES: Final = 16
HELLO_BYTES: Final = len(MAGIC) + NONCE_BYTES
REPLY_BYTES: Final = HELLO_BYTES + TAG_BYTES

HEADER: Final = struct.Struct("<IB")
FRAME_TAG_BYTES: Final = 16

LARGEST_FRAME: Final = 4 << 20
"""Largest content of one frame, in bytes; longer data is split."""

PIECE: Final = 1 << 20
"""Size of the pieces that longer data is split into, in bytes."""


class Kind(IntEnum):
    """What a frame holds."""

    JSON = 1
    DATA = 2
    """Bytes of a tunnel or of a blob."""
    PING = 3
    """A sign of life, with JSON."""


_KINDS: Final = frozenset(int(kind) for kind in Kind)


class RefusedError(FarmError):
    """The other side does not know the farm key, or a frame is not what it sent."""


class Seal:
    """The tags of one direction of one connection."""

    def __init__(self, key: bytes, direction: str) -> None:
        self._key, self._direction = key, direction.encode()
        self._number = 0

    def pack(self, kind: Kind, content: bytes) -> bytes:
        """Return the next frame of this direction."""
        header = HEADER.pack(len(content), kind)
        return b"".join((header, content, self._tag(header, content)))

    def unpack(self, header: bytes, content: bytes, tag: bytes) -> Kind:
        """Check the next frame of this direction and return its kind.

        Raises
        ------
        RefusedError
            If it is forged, altered, replayed or out of order.
        """
        if not hmac.compare_digest(tag, self._tag(header, content)):
            raise RefusedError(
                "A frame's tag does not match: it was altered on the way, or forged."
            )
        return Kind(header[4])

    def _tag(self, header: bytes, content: bytes) -> bytes:
        prefix = self._direction + self._number.to_bytes(8, "little") + header
        self._number += 1
        return hmac.digest(self._key, prefix + content, "sha256")[:FRAME_TAG_BYTES]


def content_length(header: bytes) -> int:
    """Return the length that a frame's header states.

    Raises
    ------
    RefusedError
        If it is too large, or the kind is unknown.
    """
    length, kind = HEADER.unpack(header)
    if length > LARGEST_FRAME or kind not in _KINDS:
        raise RefusedError(f"A frame of {length} bytes and kind {kind} is none of ours.")
    return int(length)


def new_hello() -> bytes:
    """Return what the client says first."""
    return MAGIC + secrets.token_bytes(NONCE_BYTES)


def reply_to(key: FarmKey, hello: bytes) -> bytes:
    """Return the server's answer to ``hello``.

    Raises
    ------
    RefusedError
        If the client does not speak this protocol.
    """
    if not hello.startswith(MAGIC) or len(hello) != HELLO_BYTES:
        raise RefusedError("It does not speak the farm's protocol.")
    mine = MAGIC + secrets.token_bytes(NONCE_BYTES)
    return mine + key.tag("server", hello, mine)


def confirm(key: FarmKey, hello: bytes, reply: bytes) -> bytes:
    """Check the server's reply and return the client's proof.

    Raises
    ------
    RefusedError
        If the server does not know the key.
    """
    mine, tag = reply[:HELLO_BYTES], reply[HELLO_BYTES:]
    if not mine.startswith(MAGIC) or not key.accepts(tag, "server", hello, mine):
        raise RefusedError("It has another farm key.")
    return key.tag("client", hello, mine)


def check_proof(key: FarmKey, hello: bytes, reply: bytes, proof: bytes) -> None:
    """Check the client's proof.

    Raises
    ------
    RefusedError
        If the client does not know the key.
    """
    if not key.accepts(proof, "client", hello, reply[:HELLO_BYTES]):
        raise RefusedError("It has another farm key.")


def seals(key: FarmKey, hello: bytes, reply: bytes) -> tuple[Seal, Seal]:
    """Return the seals of the two directions: client to server, server to client."""
    session = key.tag("session", hello, reply[:HELLO_BYTES])
    return Seal(session, "client"), Seal(session, "server")


def to_json(value: dict[str, Any]) -> bytes:
    """Return the content of a JSON frame."""
    return json.dumps(value, separators=(",", ":")).encode()


def from_json(content: bytes) -> dict[str, Any]:
    """Return what a JSON frame says.

    Raises
    ------
    RefusedError
        If it is not one JSON object.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"A frame does not hold JSON: {error}.") from None
    if not isinstance(value, dict):
        raise RefusedError("A frame does not hold a JSON object.")
    return value
