"""An authenticated connection for blocking code; every call has a deadline."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.closing import ClosedOnExit
from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm import frame
from vrmpy_tune.farm.frame import FRAME_TAG_BYTES, HEADER, Kind

if TYPE_CHECKING:
    from vrmpy_tune.farm.secret import FarmKey

CONNECT_S: Final = 5.0
"""Seconds to connect and shake hands: FAULTS.md row 10 allows 5 s to say that a key is unknown."""

SEND_S: Final = 10.0
"""Seconds that the other side may refuse to take any byte."""

_CHUNK: Final = 1 << 18


class LinkError(FarmError):
    """The other side cannot be reached, is gone, or says nothing in time."""


class LinkTimeoutError(LinkError):
    """The other side says nothing in time; it may still."""


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``"host:port"``.

    Raises
    ------
    FarmError
        If it is no such text.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise FarmError(f"'{text}' is no address; write HOST:PORT, for example 127.0.0.1:9190.")
    return host.strip("[]"), int(port)


class Channel(ClosedOnExit):
    """Frames to and from one farm port.

    Several threads may send; one at a time may receive.

    Parameters
    ----------
    address:
        ``"host:port"``.
    key:
        The farm key.
    timeout_s:
        Seconds for connecting and shaking hands.

    Raises
    ------
    LinkError
        If nobody answers.
    RefusedError
        If the other side has another key.
    """

    def __init__(self, address: str, key: FarmKey, timeout_s: float = CONNECT_S) -> None:
        self.address = address
        self._buffer = bytearray()
        self._sending = threading.Lock()
        deadline = time.monotonic() + timeout_s
        host, port = parse_address(address)
        try:
            self._socket = socket.create_connection((host, port), timeout_s)
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            raise LinkError(f"{address} cannot be reached: {reason}.") from error
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.settimeout(None)
            seconds, fraction = divmod(SEND_S, 1)
            limit = struct.pack("ll", int(seconds), int(fraction * 1e6))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            hello = frame.new_hello()
            self._write(hello)
            reply = self._read(frame.REPLY_BYTES, deadline)
            self._write(frame.confirm(key, hello, reply))
            self._outgoing, self._incoming = frame.seals(key, hello, reply)
        except frame.RefusedError as error:
            self._socket.close()
            raise frame.RefusedError(f"{address} is not to be trusted: {error}") from error
        except BaseException:
            self._socket.close()
            raise

    def send(self, kind: Kind, content: bytes) -> None:
        """Send one frame.

        Raises
        ------
        LinkError
            If the other side is gone or takes nothing.
        """
        with self._sending:
            self._write(self._outgoing.pack(kind, content))

    def send_json(self, value: dict[str, Any]) -> None:
        """Send one JSON frame; raises as :meth:`send`."""
        self.send(Kind.JSON, frame.to_json(value))

    def send_data(self, data: bytes) -> None:
        """Send bytes in as many frames as it takes; raises as :meth:`send`."""
        view = memoryview(data)
        for start in range(0, len(view), frame.PIECE):
            self.send(Kind.DATA, bytes(view[start : start + frame.PIECE]))

    def receive(self, timeout_s: float) -> tuple[Kind, bytes]:
        """Return the next frame.

        Raises
        ------
        LinkTimeoutError
            If it is not complete in time; what came of it is kept.
        LinkError
            If the connection ends.
        RefusedError
            If it is not what the other side sent.
        """
        deadline = time.monotonic() + timeout_s
        self._fill(HEADER.size, deadline)
        header = bytes(self._buffer[: HEADER.size])
        length = frame.content_length(header)
        whole = HEADER.size + length + FRAME_TAG_BYTES
        self._fill(whole, deadline)
        content = bytes(self._buffer[HEADER.size : HEADER.size + length])
        tag = bytes(self._buffer[HEADER.size + length : whole])
        del self._buffer[:whole]
        return self._incoming.unpack(header, content, tag), content

    def ask(self, question: dict[str, Any], timeout_s: float = CONNECT_S) -> dict[str, Any]:
        """Send a JSON frame and return the answer.

        Raises
        ------
        LinkError, RefusedError
            As :meth:`receive`.
        FarmError
            If the answer is that it was refused.
        """
        self.send_json(question)
        return self.answer(timeout_s)

    def answer(self, timeout_s: float = CONNECT_S) -> dict[str, Any]:
        """Return the next JSON frame; raises as :meth:`ask`."""
        deadline = time.monotonic() + timeout_s
        while True:
            kind, content = self.receive(max(0.0, deadline - time.monotonic()))
            if kind is Kind.JSON:
                break
        answer = frame.from_json(content)
        if "error" in answer:
            raise FarmError(str(answer["error"]))
        return answer

    def close(self) -> None:
        """End the connection; whoever waits for it is woken."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except BlockingIOError:
            raise LinkError(f"{self.address} has taken nothing for {SEND_S:g} s.") from None
        except OSError as error:
            raise LinkError(f"{self.address} is gone: {error.strerror or error}.") from error

    def _read(self, size: int, deadline: float) -> bytes:
        self._fill(size, deadline)
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _fill(self, size: int, deadline: float) -> None:
        """Have at least ``size`` bytes in the buffer."""
        while len(self._buffer) < size:
            try:
                poll = select.poll()
                poll.register(self._socket.fileno(), select.POLLIN)
                if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    raise LinkTimeoutError(f"{self.address} says nothing.")
                part = self._socket.recv(_CHUNK, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except (OSError, ValueError) as error:
                raise LinkError(f"{self.address} is gone: {error}.") from error
            if not part:
                raise LinkError(f"{self.address} ended the connection.")
            self._buffer += part
