"""Forks the processes of the slots: TVM is imported once, and its memory is shared.

Started by :mod:`vrmpy_tune.farm.nursery`; reads one JSON line per process to start from the socket
whose descriptor is its argument, and writes one line per start and per end.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from vrmpy_tune.farm.lineage import die_with_parent


def main() -> None:
    """Fork on demand until the socket ends."""
    die_with_parent()
    control = socket.socket(fileno=int(sys.argv[1]))
    # Imported before the first fork; the numerical libraries' threads would not survive one.
    import numpy  # noqa: F401
    import tvm.rpc.server  # noqa: F401

    import vrmpy_tune.device.open
    import vrmpy_tune.device.qemu
    import vrmpy_tune.farm.codec
    import vrmpy_tune.farm.worker  # noqa: F401

    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _tell(control, {"ready": True})
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(woken, select.POLLIN)
    buffer = b""
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if woken in ready:
            os.read(woken, 4096)
            _reap(control)
        if control.fileno() in ready:
            data = control.recv(1 << 16)
            if not data:
                os._exit(0)
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                request = json.loads(line)
                pid = _fork(request, (control.fileno(), woken, wake))
                _tell(control, {"id": request["id"], "pid": pid})


def _fork(request: dict[str, Any], ours: tuple[int, ...]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in ours:
            os.close(descriptor)
        os.setsid()
        die_with_parent()
        _run(request)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _run(request: dict[str, Any]) -> None:
    socket_path, slot = Path(request["socket"]), int(request["slot"])
    if request["kind"] == "worker":
        from vrmpy_tune.farm.worker import work

        work(socket_path, slot, request["device"])
    else:
        from vrmpy_tune.farm.stock import serve_slot

        serve_slot(
            port=int(request["port"]),
            key=request["key"],
            tracker_port=int(request["tracker_port"]),
            advertised=request["advertised"],
            socket_path=socket_path,
            slot=slot,
        )


def _reap(control: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _tell(control, {"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def _tell(control: socket.socket, value: dict[str, Any]) -> None:
    control.sendall(json.dumps(value).encode() + b"\n")


if __name__ == "__main__":
    main()
