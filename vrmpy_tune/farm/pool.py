"""The slots that one tuner has leased, and how it gets more of them and gives them back."""

from __future__ import annotations

import getpass
import logging
import os
import secrets
import socket
import threading
import time
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm.channel import LinkError
from vrmpy_tune.farm.lease import Lease
from vrmpy_tune.farm.tracker_link import TrackerLink

if TYPE_CHECKING:
    from collections.abc import Collection

    from vrmpy_tune.farm.secret import FarmKey
    from vrmpy_tune.farm.tracker_link import Offer, Summary

_LOG: Final = logging.getLogger(__name__)

QUANTUM_S: Final = 5.0
"""Seconds after which a slot is given back if others wait for one."""

STAGGER_S: Final = 0.1
"""Least seconds between two slots that are given back; the others go on working meanwhile.

So that a request of ours is in the queue when the next one goes.
"""

IDLE_S: Final = 20.0
WANTED_S: Final = 0.5
"""Seconds without a job after which a slot is given back, and if others wait for one."""

NO_OTHER_S: Final = 5.0
"""Seconds after which a job runs on the slot that it was to avoid, for want of another."""

MESSAGE_S: Final = 30.0
"""Seconds between two messages while there is no device."""

RETRY_S: Final = 0.5
"""Pause after a tracker or a slot that could not be reached."""

LOOK_S: Final = 5.0
"""Seconds between two looks at the tracker while there is no slot."""

KEEP_S: Final = 1.0
"""Seconds between two looks at idle slots."""


class NoDeviceError(FarmError):
    """No device of the farm could be had for as long as we were to wait."""


class LeasePool:
    """Leases slots on demand; used from several threads at once.

    One request at a time waits at the tracker, so that of two tuners with equal priorities each
    gets every other slot, however many jobs it has.

    Parameters
    ----------
    tracker, key:
        The tracker's address, and the key of the devices wanted.
    secret:
        The farm key.
    priority:
        Higher ones are served first.
    wait_s:
        Seconds without any device after which :meth:`take` gives up.
    """

    def __init__(
        self, tracker: str, key: str, secret: FarmKey, *, priority: int, wait_s: float
    ) -> None:
        self._tracker, self._key, self._secret = tracker, key, secret
        self._priority, self._wait_s = priority, wait_s
        self._holder = f"{getpass.getuser()}@{socket.gethostname()}:{os.getpid()}"
        self._tuner = secrets.token_hex(8)
        lock = threading.Lock()
        self._changed, self._demand = threading.Condition(lock), threading.Condition(lock)
        self._free: list[Lease] = []
        self._used: set[Lease] = set()
        self._opening = 0
        self._waiting: list[Collection[str]] = []
        """What each waiting thread avoids."""
        self._closed = False
        self._reason = ""
        self._failed = False
        """Whether the last slot that was offered could not be had."""
        self._asking = False
        """Whether a request of ours waits at the tracker."""
        self._leaving: list[Lease] = []
        """Slots to give back as soon as a request of ours is in the queue."""
        self._link: TrackerLink | None = None
        self._good = self._looked = time.monotonic()
        self._left = 0.0
        """When a slot was last given back because it was wanted."""
        self._threads = [
            threading.Thread(target=loop, name=f"farm-{name}", daemon=True)
            for name, loop in (("lease", self._lease_on_demand), ("keep", self._keep_idle))
        ]
        for thread in self._threads:
            thread.start()

    def take(self, avoid: Collection[str] = ()) -> Lease:
        """Wait for a slot that is not among ``avoid``, unless there are no others.

        Raises
        ------
        NoDeviceError
            If there was no device at all for as long as we were to wait.
        FarmError
            If the pool is closed.
        """
        began = told = time.monotonic()
        with self._changed:
            self._waiting.append(avoid)
            try:
                while True:
                    if self._closed:
                        raise FarmError("The farm device is closed. Open another one.")
                    lease = self._pick(avoid, time.monotonic() - began)
                    if lease is not None:
                        self._used.add(lease)
                        return lease
                    self._demand.notify()
                    self._changed.wait(1.0)
                    told = self._check_patience(began, told)
            finally:
                self._waiting.remove(avoid)

    def give(self, lease: Lease) -> None:
        """Return a slot after a measurement; it stays ours while nobody else wants it."""
        now = lease.idle_since = time.monotonic()
        with self._changed:
            self._used.discard(lease)
            self._good = now
            early = now - lease.since < QUANTUM_S or now - self._left < STAGGER_S
            if (early or not self._is_wanted(lease, idle=False)) and not self._closed:
                self._free.append(lease)
                self._changed.notify_all()
                return
            self._left = now
            if not self._asking and not self._closed:
                # First into the queue, where the tracker knows our priority, and then give back.
                self._leaving.append(lease)
                self._demand.notify()
                return
        lease.give_back()

    def discard(self, lease: Lease, reason: str) -> None:
        """Give up a slot that is lost."""
        lease.drop()
        with self._changed:
            self._used.discard(lease)
            self._reason = reason
            self._changed.notify_all()

    def close(self) -> None:
        """Give everything back."""
        with self._changed:
            self._closed = True
            free, self._free, self._leaving = self._free + self._leaving, [], []
            used = list(self._used)
            link = self._link
            self._changed.notify_all()
            self._demand.notify()
        for lease in free:
            lease.give_back()
        for lease in used:
            lease.drop()
        if link is not None:
            link.close()
        for thread in self._threads:
            thread.join(5.0)

    def _is_wanted(self, lease: Lease, *, idle: bool) -> bool:
        return lease.is_wanted(self._priority, self._tuner, idle=idle)

    def _pick(self, avoid: Collection[str], waited_s: float) -> Lease | None:
        for lease in reversed(self._free):
            if lease.slot not in avoid:
                self._free.remove(lease)
                return lease
        if self._free and waited_s > NO_OTHER_S and not self._used:
            return self._free.pop()
        return None

    def _check_patience(self, began: float, told: float) -> float:
        """Raise if there was no device for too long; say so now and then; return when last."""
        now = time.monotonic()
        without = now - max(self._good, began)
        if self._used or self._free or not self._reason:
            return now
        if without > self._wait_s:
            raise NoDeviceError(
                f"No device '{self._key}' could be had from the farm {self._tracker} for "
                f"{self._wait_s:.0f} s: {self._reason} Run: vrmpy-tune farm doctor {self._tracker}"
            )
        if now - told >= MESSAGE_S:
            _LOG.warning(
                "No device '%s' for %.0f s: %s Waiting up to %.0f s.",
                self._key, without, self._reason, self._wait_s,
            )  # fmt: skip
            return now
        return told

    # --- the thread that asks the tracker -------------------------------------------------------

    def _lease_on_demand(self) -> None:
        while True:
            with self._changed:
                while not (self._closed or self._leaving or self._wanted() > self._opening):
                    self._demand.wait()
                if self._closed:
                    return
            offer = self._request()
            self._give_back_leaving()
            if offer is None:
                time.sleep(RETRY_S)
                continue
            with self._changed:
                self._opening += 1
            threading.Thread(target=self._open, args=(offer,), daemon=True).start()

    def _wanted(self) -> int:
        """Return how many more slots are needed for all that wait."""
        slots = [lease.slot for lease in self._free]
        wanted = 0
        for avoid in self._waiting:
            usable = next((slot for slot in slots if slot not in avoid), None)
            if usable is None:
                wanted += 1
            else:
                slots.remove(usable)
        return wanted

    def _request(self) -> Offer | None:
        """Return an offer of the tracker, or None if there is none to be had now."""
        try:
            if self._link is None:
                self._link = TrackerLink(self._tracker, self._secret)
            summary = self._link.summary()
            self._note(summary)
            if self._key not in summary.keys:
                return None
            self._asking = True
            return self._link.request(
                self._key, self._priority, self._tuner, self._give_back_leaving
            )
        except FarmError as error:
            if self._link is not None:
                self._link.close()
                self._link = None
            self._reason = str(error)
            return None
        finally:
            self._asking = False

    def _give_back_leaving(self) -> None:
        with self._changed:
            leaving, self._leaving = self._leaving, []
        for lease in leaving:
            lease.give_back()

    def _note(self, summary: Summary) -> None:
        """Remember why there can be no slot at the moment, if so."""
        if self._key not in summary.keys:
            known = ", ".join(summary.keys) or "none"
            self._reason = f"nobody serves this key now (served keys: {known})."
        elif not summary.slots(self._key):
            self._reason = "its hosts have no slot that the tracker could offer."
        elif not self._failed:
            self._reason = ""

    def _open(self, offer: Offer) -> None:
        try:
            lease = Lease(offer, self._secret, self._holder)
        except FarmError as error:
            with self._changed:
                self._reason, self._failed = str(error), True
            # The server withdraws an offer that is not taken up, and makes a new one.
            time.sleep(RETRY_S)
            lease = None
        with self._changed:
            self._opening -= 1
            if lease is not None:
                self._reason, self._failed, self._good = "", False, time.monotonic()
                if not self._closed:
                    self._free.append(lease)
                    lease = None
            self._changed.notify_all()
        if lease is not None:
            lease.give_back()

    # --- the thread that keeps what is idle -----------------------------------------------------

    def _keep_idle(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                self._changed.wait_for(lambda: self._closed, KEEP_S)
                now = time.monotonic()
                old = [
                    lease
                    for lease in self._free
                    if now - lease.idle_since
                    > (WANTED_S if self._is_wanted(lease, idle=True) else IDLE_S)
                ]
                for lease in old:
                    self._free.remove(lease)
                kept = list(self._free)
            for lease in old:
                lease.give_back()
            for lease in kept:
                try:
                    lease.keep()
                except FarmError as error:
                    self._lose(lease, str(error))
            self._keep_link()
            self._look_again()

    def _lose(self, lease: Lease, reason: str) -> None:
        with self._changed:
            if lease in self._free:
                self._free.remove(lease)
                self._reason = reason
        lease.drop()

    def _look_again(self) -> None:
        """Find out whether a request that waits at the tracker can still be answered."""
        with self._changed:
            have_some = self._free or self._used or not self._waiting
        now = time.monotonic()
        if have_some or now - self._looked < LOOK_S:
            return
        self._looked = now
        try:
            with TrackerLink(self._tracker, self._secret) as link:
                summary = link.summary()
        except FarmError as error:
            self._reason = str(error)
            return
        self._note(summary)
        if not self._reason:
            # Others have them all: that is a queue, and no fault.
            self._good = now

    def _keep_link(self) -> None:
        link = self._link
        if link is not None:
            try:
                link.keep()
            except LinkError:
                link.close()
