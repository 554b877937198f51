"""A process that lowers TIR to LLVM IR or assembly, or replays a trace, and may die of it.

Started by :mod:`vrmpy_tune.toolchain.pool`; reads one request after another from standard input and
ends with it.
"""

from __future__ import annotations

import os
import resource
from typing import Any, Final

from vrmpy_tune.toolchain.frames import ClosedError, receive, send

MEMORY_BYTES: Final = 8 << 30
"""Address space: TVM and LLVM map about 2 GB before the first kernel."""


def serve() -> None:
    """Answer requests until standard input ends."""
    replies = os.dup(1)
    os.dup2(2, 1)  # what TVM or LLVM print must not get between the replies
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import tvm

    from vrmpy_tune.replay import replay
    from vrmpy_tune.target import parse_target
    from vrmpy_tune.toolchain.lower import assembly, llvm_ir

    send(replies, {"ready": True})
    while True:
        try:
            request = receive(0)
        except ClosedError:
            return
        _limit_cpu(request["cpu_s"])
        try:
            module = tvm.ir.load_json(request["module"])
            reply: dict[str, Any]
            if "trace" in request:
                reply = {"text": tvm.ir.save_json(replay(module, request["trace"]).mod)}
            else:
                generate = assembly if request["by_tvm"] else llvm_ir
                reply = {"text": generate(module, parse_target(request["target"]))}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        _limit_cpu(None)
        send(replies, reply)


def _limit_cpu(seconds: float | None) -> None:
    """Let this process use ``seconds`` more CPU seconds before the kernel ends it."""
    soft = resource.RLIM_INFINITY
    if seconds is not None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(usage.ru_utime + usage.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


if __name__ == "__main__":
    serve()
