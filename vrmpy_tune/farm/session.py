"""TVM's RPC session protocol (0.8.0), as far as calling one function needs it.

TVM's own client holds at most 32 sessions in a process (``kMaxRPCSession``), and waits for ever on
a connection that says nothing.  The server's side is TVM's own.  Sources: ``rpc_endpoint.cc``,
``rpc_socket_impl.cc`` and ``minrpc/rpc_reference.h`` in TVM's wheel.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm.channel import LinkError

if TYPE_CHECKING:
    from vrmpy_tune.farm.tunnel import Tunnel

_MAGIC: Final = 0xFF271
_MISMATCH: Final = _MAGIC + 2
_VERSION: Final = b"0.8.0"

_SHUTDOWN: Final = 1
_INIT_SERVER: Final = 2
_CALL: Final = 3
_RETURN: Final = 4
_EXCEPTION: Final = 5
_GET_FUNCTION: Final = 9
"""``RPCCode``."""

_POINTER: Final = 4
_TEXT: Final = 8
_BYTES: Final = 9
"""Type indices of TVM FFI (``tvm/ffi/c_api.h``)."""

_PACKET: Final = struct.Struct("<Qi")
_INT: Final = struct.Struct("<i")
_LONG: Final = struct.Struct("<Q")

_LARGEST: Final = 1 << 31


class SessionError(FarmError):
    """The RPC server raised an exception, or does not speak this version of the protocol."""


class MatchKeyError(FarmError):
    """The RPC server expects another client: the offer has expired."""


class Session:
    """A session with a stock RPC server; for one thread at a time.

    Parameters
    ----------
    tunnel:
        Leads to the server.
    match_key:
        What the tracker's offer says.
    deadline:
        On the monotonic clock.

    Raises
    ------
    MatchKeyError
        If the server gave up on this offer.
    LinkError
        If the connection ends or the deadline passes.
    """

    def __init__(self, tunnel: Tunnel, match_key: str, deadline: float) -> None:
        self._tunnel = tunnel
        key = f"client:{match_key}".encode()
        tunnel.write(_INT.pack(_MAGIC) + _INT.pack(len(key)) + key)
        (code,) = _INT.unpack(tunnel.read(_INT.size, deadline))
        if code == _MISMATCH:
            raise MatchKeyError("The RPC server has withdrawn this offer.")
        if code != _MAGIC:
            raise LinkError("What answers is no TVM RPC server.")
        (length,) = _INT.unpack(tunnel.read(_INT.size, deadline))
        tunnel.read(length, deadline)
        no_arguments = _INT.pack(0)
        self._send(_INIT_SERVER, _LONG.pack(len(_VERSION)) + _VERSION + no_arguments)
        self._returned(deadline)

    def function(self, name: str, deadline: float) -> int:
        """Return the handle of a global function; raises SessionError if there is none."""
        text = name.encode()
        arguments = _INT.pack(1) + _INT.pack(_TEXT) + _LONG.pack(len(text)) + text
        self._send(_GET_FUNCTION, arguments)
        packed = self._returned(deadline)
        (kind,) = _INT.unpack_from(packed, 4)
        if kind != _POINTER:
            raise SessionError(f"The RPC server has no function '{name}'.")
        return int(_LONG.unpack_from(packed, 8)[0])

    def call(self, function: int, argument: bytes, deadline: float) -> bytes:
        """Call a function from bytes to bytes.

        Raises
        ------
        SessionError
            If it raises.
        LinkError
            If the connection ends or the deadline passes.
        """
        head = _LONG.pack(function) + _INT.pack(1) + _INT.pack(_BYTES) + _LONG.pack(len(argument))
        self._send(_CALL, head + argument)
        packed = self._returned(deadline)
        # The returned sequence is the type index as an integer, then the value.
        at = _INT.size + _INT.size + _LONG.size
        (kind,) = _INT.unpack_from(packed, at)
        if kind != _BYTES:
            raise SessionError(f"The RPC server returned a value of type {kind}, not bytes.")
        (length,) = _LONG.unpack_from(packed, at + _INT.size)
        start = at + _INT.size + _LONG.size
        return packed[start : start + length]

    def close(self) -> None:
        """Say goodbye, which lets the server's process end in order; raises LinkError."""
        self._send(_SHUTDOWN, b"")

    def _send(self, code: int, content: bytes) -> None:
        self._tunnel.write(_PACKET.pack(_INT.size + len(content), code) + content)

    def _returned(self, deadline: float) -> bytes:
        """Return the packed sequence of the next packet."""
        length, code = _PACKET.unpack(self._tunnel.read(_PACKET.size, deadline))
        if not _INT.size <= length <= _LARGEST:
            raise LinkError("What answers is no TVM RPC server.")
        content = self._tunnel.read(length - _INT.size, deadline)
        if code == _EXCEPTION:
            text = content[_INT.size + _INT.size + _LONG.size :].decode(errors="replace")
            raise SessionError(f"The RPC server says: {text.strip()[-600:]}")
        if code != _RETURN:
            raise LinkError(f"The RPC server sent code {code} where a result was due.")
        return content
