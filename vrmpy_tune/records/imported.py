"""Traces from elsewhere: candidates worth measuring, not records."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vrmpy_tune.errors import RecordFormatError
from vrmpy_tune.records.fields import LINE, Fields
from vrmpy_tune.records.record import Identity
from vrmpy_tune.records.safe_json import Json, check_limits


@dataclass(frozen=True)
class ImportedTrace:
    """A trace that another program claims to be good; unverified.

    A record can only come from a verified measurement, so an imported trace is never best and
    never applied.  ``records verify`` and tuning measure it, which makes a record of it.

    Attributes
    ----------
    identity:
        Workload, target, metric, space and trace, as the record's that it may become.
    claimed:
        The figure that came with it, in whatever unit its source used.
    source:
        Where it came from, for people.
    """

    identity: Identity
    claimed: float
    source: str

    @classmethod
    def from_json(cls, value: Json) -> ImportedTrace:
        """Read what :meth:`to_json` wrote, from a source that need not be trusted.

        Raises
        ------
        RecordFormatError
            If a field is missing, unknown or malformed.
        """
        check_limits(value)
        fields = Fields(value, "imported trace")
        claimed = fields.any("claimed")
        if isinstance(claimed, bool) or not isinstance(claimed, int | float):
            raise RecordFormatError("An imported trace's claimed figure is a number.")
        if not math.isfinite(claimed):
            raise RecordFormatError("An imported trace's claimed figure is out of range.")
        trace = cls(Identity.from_fields(fields), float(claimed), fields.text("source", LINE))
        fields.end()
        return trace

    def to_json(self) -> dict[str, Json]:
        """Return the trace as JSON data."""
        return {**self.identity.to_json(), "claimed": self.claimed, "source": self.source}

    @property
    def id(self) -> str:
        """SHA-256 of the identity, in hexadecimal."""
        return self.identity.id
