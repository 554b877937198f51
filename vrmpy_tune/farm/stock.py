"""TVM's own tracker and RPC server, in processes of ours that end when TVM's threads do."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.farm import local
from vrmpy_tune.farm.lineage import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEASURE: Final = "vrmpy_tune.farm.measure"
"""The function that a session calls: signed request in, signed result out."""

REFUSED: Final = (
    "tvm.rpc.server.upload",
    "tvm.rpc.server.download",
    "tvm.rpc.server.remove",
    "tvm.rpc.server.listdir",
    "tvm.rpc.server.load_module",
    "tvm.rpc.server.download_linked_module",
)
"""Stock functions that would read, write or run files for whoever reaches the port."""

_KEPT: Final = ("rpc.LocalSession", "tvm.rpc.server.workpath")
_LOOPBACK: Final = "127.0.0.1"


def serve_tracker(port: int) -> None:
    """Run TVM's tracker on the loopback interface until it ends."""
    from tvm.rpc.tracker import PopenTrackerServerState

    state = PopenTrackerServerState(_LOOPBACK, port, port + 1, silent=True)
    state.thread.join()


def serve_slot(
    *, port: int, key: str, tracker_port: int, advertised: str, socket_path: Path, slot: int
) -> None:
    """Run TVM's RPC server on the loopback interface until its thread ends.

    A session whose process fails ends the thread, while the server stays registered; here that
    ends the process, and the agent starts another.

    Parameters
    ----------
    port, key, tracker_port:
        Where to listen, what to register as, and the loopback port that leads to the tracker.
    advertised:
        Address of the agent, which the tracker hands to clients in place of the server's host.
    socket_path, slot:
        The agent's local socket, and which of its slots this is.
    """
    import tvm.rpc.server as stock

    measure = _relay(socket_path, slot)
    stock._popen_start_rpc_server(
        _LOOPBACK,
        port,
        port + 1,
        tracker_addr=(_LOOPBACK, tracker_port),
        key=key,
        custom_addr=advertised,
        silent=True,
        server_init_callback=lambda: _offer_only(measure),
    )
    state: Any = stock.PopenRPCServerState.current
    state.thread.join()


def _relay(socket_path: Path, slot: int) -> Callable[[bytes], bytes]:
    """Return the function that passes requests to the agent; it knows no secret."""
    connections: dict[int, Any] = {}

    def measure(request: bytes) -> bytes:
        # A session is a forked process: each has a connection of its own.
        connection = connections.get(os.getpid())
        if connection is None:
            connection = connections[os.getpid()] = local.connect(socket_path)
            local.send(connection, json.dumps({"role": "session", "slot": slot}).encode())
        local.send(connection, bytes(request))
        return local.receive(connection)

    return measure


def _offer_only(measure: Callable[[bytes], bytes]) -> None:
    """Let sessions find no function but ``measure``, and the stock file functions refuse.

    What a session can call is a global function, and TVM has thousands.  They are removed by name;
    those that the server itself uses it holds already.
    """
    import tvm_ffi

    def register(name: str, function: Callable[..., Any]) -> None:
        tvm_ffi.register_global_func(name, function, override=True)

    def refuse(name: str) -> Callable[..., None]:
        def refused(*_: object) -> None:
            print(f"refused a call of {name}", file=sys.stderr, flush=True)
            raise PermissionError(
                f"{name} is switched off on this farm; artifacts go through the agent's port."
            )

        return refused

    def start_session() -> None:
        # The stock server registers some again in each session, before it calls this.
        for name in REFUSED:
            register(name, refuse(name))

    remove = tvm_ffi.get_global_func("ffi.FunctionRemoveGlobal")
    for name in tvm_ffi.registry.list_global_func_names():
        if name not in _KEPT:
            remove(name)
    start_session()
    register("tvm.rpc.server.start", start_session)
    register(MEASURE, measure)


if __name__ == "__main__":
    die_with_parent()
    serve_tracker(int(sys.argv[1]))
