"""What else a tuning run must remember: candidates that failed, and runs that finished."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import RecordFormatError
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.records.fields import SHA256, Fields
from vrmpy_tune.records.record import SHORT_ID, Identity, canonical_trace
from vrmpy_tune.records.safe_json import Json, canonical_json, check_limits, parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FAILURE_SCHEMA: Final = 1
"""Version of the stored form of failures, which is not that of records."""

MAX_MESSAGE: Final = 4000
"""Characters of a failure's message that are kept: the end, where compilers say what is wrong."""


@dataclass(frozen=True)
class Failure:
    """A candidate that failed, and would fail again in the same way.

    Made by :meth:`of`; outcomes that say nothing about the candidate
    (:attr:`vrmpy_tune.measurement.Outcome.is_remembered`) are refused.

    Attributes
    ----------
    identity:
        Workload, target, metric, space and trace, as a record's.
    outcome:
        A remembered outcome, for example ``"crash"``.
    message:
        What the builder or device said; printable, at most :data:`MAX_MESSAGE` characters.
    artifact:
        SHA-256 of the object code, or ``""`` if there was none.
    toolchain:
        Versions by name, as a record's: another toolchain may well succeed.
    """

    identity: Identity
    outcome: str
    message: str
    artifact: str
    toolchain: Mapping[str, str] = field(hash=False)

    @classmethod
    def of(
        cls,
        outcome: Outcome,
        *,
        workload: str,
        target: str,
        metric: str,
        space: str,
        trace: str | Sequence[object],
        message: str,
        artifact: str = "",
        toolchain: Mapping[str, str] | None = None,
    ) -> Failure:
        """Make the failure of one candidate; the message is made printable and cut to length.

        Raises
        ------
        RecordFormatError
            If the outcome is not one to remember, or a field is malformed.
        """
        identity = Identity(workload, target, metric, space, canonical_trace(trace))
        tail = _printable(message)[-MAX_MESSAGE:]
        failure = cls(identity, str(outcome), tail, artifact, dict(toolchain or {}))
        return cls.from_json(failure.to_json())

    @classmethod
    def from_json(cls, value: Json) -> Failure:
        """Read what :meth:`to_json` wrote, from a source that need not be trusted.

        Raises
        ------
        RecordFormatError
            If a field is missing, unknown or malformed, or the outcome is not one to remember.
        """
        check_limits(value)
        fields = Fields(value, "failure")
        if (schema := fields.integer("schema")) > FAILURE_SCHEMA:
            raise RecordFormatError(
                f"The failure has schema {schema}, written by a newer vrmpy-tune; this version "
                f"reads {FAILURE_SCHEMA}. Upgrade: pip install -U vrmpy-tune."
            )
        if schema != FAILURE_SCHEMA:
            raise RecordFormatError(f"The failure has schema {schema}, not {FAILURE_SCHEMA}.")
        outcome = fields.text("outcome")
        if outcome not in _REMEMBERED:
            raise RecordFormatError(
                f"The outcome {outcome[:80]!a} is not remembered; "
                f"those that are: {', '.join(_REMEMBERED)}."
            )
        message = fields.any("message")
        if not isinstance(message, str) or _printable(message)[-MAX_MESSAGE:] != message:
            raise RecordFormatError(
                f"A failure's message is a printable text of at most {MAX_MESSAGE} characters."
            )
        artifact = fields.text("artifact")
        if artifact and not SHA256.fullmatch(artifact):
            raise RecordFormatError("A failure's artifact is a SHA-256, or empty.")
        identity = Identity.from_fields(fields)
        failure = cls(identity, outcome, message, artifact, fields.text_map("toolchain"))
        fields.end()
        return failure

    def to_json(self) -> dict[str, Json]:
        """Return the failure as JSON data; ``outcome`` tells it from a record."""
        return {
            **self.identity.to_json(),
            "schema": FAILURE_SCHEMA,
            "outcome": self.outcome,
            "message": self.message,
            "artifact": self.artifact,
            "toolchain": dict(self.toolchain),
        }

    @property
    def id(self) -> str:
        """SHA-256 of the identity, in hexadecimal."""
        return self.identity.id


@dataclass(frozen=True)
class FinishedRun:
    """A tuning run that ended, so that the same command answers at once.

    Attributes
    ----------
    key:
        What was asked, see :meth:`key_of`.
    best:
        Id of the best record, or None if no candidate was valid.
    summary:
        What the command printed, as JSON data.
    """

    key: str
    best: str | None
    summary: Mapping[str, Json] = field(hash=False)

    @staticmethod
    def key_of(
        *,
        workload: str,
        target: str,
        metric: str,
        spaces: Sequence[str],
        seed: int,
        trials: int,
        options: Mapping[str, Json],
    ) -> str:
        """Return the SHA-256 of all that determines a run's result, in hexadecimal.

        ``options`` are the remaining ones, the toolchain among them if a new one should search
        again.
        """
        asked = [workload, target, metric, list(spaces), seed, trials, dict(options)]
        return hashlib.sha256(canonical_json(asked).encode("ascii")).hexdigest()

    @classmethod
    def from_json(cls, value: Json) -> FinishedRun:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        RecordFormatError
            If a field is missing, unknown or malformed.
        """
        check_limits(value)
        fields = Fields(value, "finished run")
        key = fields.text("key", SHA256)
        best = fields.any("best")
        if best is not None and not (isinstance(best, str) and SHA256.fullmatch(best)):
            raise RecordFormatError("A finished run's best record is an id, or null.")
        summary = fields.any("summary")
        if not isinstance(summary, dict):
            raise RecordFormatError("A finished run's summary is a JSON object.")
        fields.end()
        return cls(key, best, summary)

    def to_json(self) -> dict[str, Json]:
        """Return the run as JSON data."""
        summary = parse_json(canonical_json(dict(self.summary)))
        return {"key": self.key, "best": self.best, "summary": summary}

    def __str__(self) -> str:
        best = self.best[:SHORT_ID] if self.best else "no valid candidate"
        return f"run {self.key[:SHORT_ID]}: {best}"


_REMEMBERED: Final = tuple(str(outcome) for outcome in Outcome if outcome.is_remembered)


def _printable(text: str) -> str:
    """Replace what a terminal or a database would stumble over; newlines and tabs stay."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
