"""Runs one part of a farm until it is told to stop."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.farm.agent import Agent
from vrmpy_tune.farm.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Callable

    from vrmpy_tune.farm.agent import Serving
    from vrmpy_tune.farm.secret import FarmKey

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


REGISTER_S: Final = 15.0
"""Seconds until the slots should be known to a tracker that is reachable."""


def exposure(bind: str, what: str) -> str:
    """Return what listening on ``bind`` exposes; empty if that is nothing beyond this host."""
    try:
        if ipaddress.ip_address(bind).is_loopback:
            return ""
    except ValueError:
        if bind == "localhost":
            return ""
    return (
        f"Listening on {bind}: every host that reaches this address can connect to {what}. Peers "
        "must prove that they know the farm key, and every frame is authenticated, but nothing is "
        "encrypted: who can listen on the network can read artifacts and results. TVM's own ports "
        "stay on 127.0.0.1. Without --bind, use an ssh tunnel (README, 'More than one host')."
    )


def log_to_stderr() -> None:
    """Have what is refused, lost and started again on standard error, with the time."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )


def run_tracker(
    bind: str,
    port: int,
    key: FarmKey,
    say: Callable[[str], None],
    ready: Callable[[dict[str, Any]], None] = lambda _: None,
) -> None:
    """Run a tracker until SIGINT or SIGTERM.

    Parameters
    ----------
    bind, port, key:
        Where to listen, and the key that peers must know.
    say:
        Gets lines for people.
    ready:
        Gets one document as soon as the tracker listens: ``{"address": "HOST:PORT"}``.

    Raises
    ------
    FarmError
        If it cannot start.
    """

    async def run() -> None:
        stop = _stop_event()
        tracker = Tracker(key, say)
        await tracker.start(bind, port)
        say(f"farm tracker: ready on {tracker.address}")
        ready({"address": str(tracker.address)})
        await stop.wait()
        await tracker.close()

    asyncio.run(run())


def run_agent(
    serving: Serving,
    key: FarmKey,
    say: Callable[[str], None],
    ready: Callable[[dict[str, Any]], None] = lambda _: None,
) -> None:
    """Serve slots until SIGINT or SIGTERM.

    Parameters
    ----------
    serving, key:
        What to serve, and the key that peers must know.
    say:
        Gets lines for people.
    ready:
        Gets one document as soon as the agent listens: its ``address``, the ``key`` of its
        devices, the number of ``slots``, and whether the tracker knows them (``registered``).

    Raises
    ------
    FarmError
        If it cannot start.
    """

    async def run() -> None:
        stop = _stop_event()
        agent = Agent(serving, key, say)
        try:
            await agent.start()
            registered = await agent.registered(REGISTER_S)
            if not registered:
                say(f"farm serve: the tracker {serving.tracker} does not know the slots yet")
            count = f"{serving.slots} slot{'s' if serving.slots > 1 else ''}"
            say(f"farm serve: {count} of '{serving.key}' ready, agent on {agent.address}")
            ready(
                {
                    "address": str(agent.address),
                    "key": serving.key,
                    "slots": serving.slots,
                    "registered": registered,
                }
            )
            await stop.wait()
        finally:
            await agent.close()

    asyncio.run(run())


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    return stop
