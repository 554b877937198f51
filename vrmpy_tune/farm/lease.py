"""One slot of the farm, leased: the session with its RPC server, and signs of life."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm.channel import CONNECT_S, Channel, LinkError
from vrmpy_tune.farm.session import Session
from vrmpy_tune.farm.stock import MEASURE
from vrmpy_tune.farm.tunnel import Tunnel

if TYPE_CHECKING:
    from vrmpy_tune.farm.secret import FarmKey
    from vrmpy_tune.farm.tracker_link import Offer

OPEN_S: Final = 15.0
"""Seconds that the stock server may take to fork the session's process on a loaded machine."""

ANSWER_S: Final = 75.0
"""Seconds beyond a measurement's own limit after which the slot is given up.

The agent ends the measurement within 2 s, after waiting at most 60 s for the device to be open.
"""


class LeaseOverError(FarmError):
    """The agent does not regard the slot as ours any more; nothing ran."""


class MissingBlobsError(FarmError):
    """The agent does not have artifacts that it was sent.

    Attributes
    ----------
    digests:
        Which.
    """

    def __init__(self, digests: list[str]) -> None:
        super().__init__("The agent has dropped artifacts.")
        self.digests = digests


class SlotLostError(FarmError):
    """The slot's device failed, or was ended by its agent, during the measurement."""


class SlotDiedError(SlotLostError):
    """The process with the device ended by itself during the measurement."""


class Lease:
    """A leased slot; one thread at a time measures on it.

    Parameters
    ----------
    offer:
        What the tracker handed out.
    key:
        The farm key.
    holder:
        Who takes it, for ``farm status``.

    Raises
    ------
    FarmError
        If the slot cannot be had: its agent is unreachable or refuses, or the offer expired.
    """

    def __init__(self, offer: Offer, key: FarmKey, holder: str) -> None:
        self.offer, self._key = offer, key
        self.since = self.idle_since = time.monotonic()
        self._channel = Channel(offer.agent, key)
        try:
            question = {"do": "lease", "port": offer.port, "holder": holder}
            answer = self._channel.ask(question, CONNECT_S)
            self._id = str(answer["lease"])
            self.slot = f"{offer.agent}/{answer['slot']}"
            self.capabilities: dict[str, Any] = dict(answer["capabilities"] or {})
            self._tunnel = Tunnel(self._channel)
            deadline = time.monotonic() + OPEN_S
            self._session = Session(self._tunnel, offer.match_key, deadline)
            self._function = self._session.function(MEASURE, deadline)
        except BaseException:
            self._channel.close()
            raise

    def is_wanted(self, priority: int, tuner: str, *, idle: bool) -> bool:
        """Whether somebody waits who is to have a turn, or the agent wants the slot back.

        Parameters
        ----------
        priority, tuner:
            Our own.  Who has a lower priority has to wait; our own requests are nobody else's.
        idle:
            Whether we have no use for it, so that anybody may have it.
        """
        told = self._tunnel.told
        if told.get("over") or told.get("others"):
            return True
        return any(
            who != tuner and (idle or theirs >= priority) for theirs, who in told.get("waiting", ())
        )

    def measure(self, request: dict[str, Any], wall_s: float) -> bytes:
        """Run a job whose artifacts the agent has, and return the encoded result.

        Parameters
        ----------
        request:
            The job.
        wall_s:
            Seconds that the device gives it.

        Raises
        ------
        MissingBlobsError, LeaseOverError, SlotLostError, SlotDiedError
            What the agent says.
        LinkError
            If the slot's RPC server, its agent or the network is gone.
        """
        body = json.dumps({**request, "lease": self._id}).encode()
        tag = self._key.tag("measure", body)
        deadline = time.monotonic() + wall_s + ANSWER_S
        signed = self._session.call(self._function, tag + body, deadline)
        theirs, answer = signed[:32], signed[32:]
        if not self._key.accepts(theirs, "measured", tag, answer):
            raise LinkError(f"A result of {self.slot} is not signed with this farm's key.")
        text = answer[1:]
        match answer[:1]:
            case b"R":
                return text
            case b"M":
                raise MissingBlobsError(json.loads(text))
            case b"D":
                raise SlotDiedError(text.decode(errors="replace"))
            case b"L":
                raise SlotLostError(text.decode(errors="replace"))
            case _:
                raise LeaseOverError(text.decode(errors="replace"))

    def keep(self) -> None:
        """Answer the agent's signs of life while nobody measures; raises FarmError."""
        self._tunnel.keep()

    def give_back(self) -> None:
        """Return the slot in order."""
        try:
            self._session.close()
        except FarmError:
            pass
        finally:
            self._channel.close()

    def drop(self) -> None:
        """End the connection at once."""
        self._channel.close()
