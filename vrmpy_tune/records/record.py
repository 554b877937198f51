"""The record: one verified measurement of one choice for one workload."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias

from vrmpy_tune.errors import RecordFormatError
from vrmpy_tune.measurement import Counts, EstimatedTime, is_time
from vrmpy_tune.records.fields import GENERATOR, SHA256, SPACE, TARGET, WORKLOAD, Fields
from vrmpy_tune.records.safe_json import (
    MAX_LINE_BYTES,
    Json,
    canonical_json,
    check_limits,
    parse_json,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vrmpy_tune.measurement import Measurement

SCHEMA: Final = 2
"""Version of the stored form of records, in every file and database."""

UNKNOWN_GENERATOR: Final = "unknown"
"""The generator of records of schema 1, which named none."""

SHORT_ID: Final = 16
"""Characters of an id that are shown to people."""

SortKey: TypeAlias = tuple[str, str, str, int, int, str]


def canonical_trace(trace: str | Sequence[object]) -> str:
    """Return the canonical text of a trace, as records carry it.

    Parameters
    ----------
    trace:
        What TVM's ``trace.as_json()`` returned, or its JSON text in any spacing.

    Raises
    ------
    RecordFormatError
        If it is not data, exceeds a limit, or is not a pair of instructions and decisions.
    """
    text = canonical_json(parse_json(trace) if isinstance(trace, str) else trace)
    _check_pair(parse_json(text))
    return text


def _check_pair(value: Json) -> None:
    if not (
        isinstance(value, list) and len(value) == 2 and all(isinstance(v, list) for v in value)
    ):
        raise RecordFormatError("A trace is a list of instructions and a list of decisions.")


@dataclass(frozen=True)
class Identity:
    """What makes two records the same one; everything else about them is provenance.

    Attributes
    ----------
    workload:
        Canonical workload text, for example ``"dense:m=128,n=768,k=768,lhs=u8,rhs=u8"``.
    target:
        Target name, for example ``"hexagon-v68"``.
    metric:
        What the figure counts, for example ``"qemu-packets/1"``.
    space:
        Search space with operator, program form and version, for example ``"dense.scalar/3"``.
    trace:
        Canonical text of the choice, see :func:`canonical_trace`.
    """

    workload: str
    target: str
    metric: str
    space: str
    trace: str

    @cached_property
    def id(self) -> str:
        """SHA-256 of the identity, in hexadecimal."""
        text = canonical_json([self.workload, self.target, self.metric, self.space, self.trace])
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    @classmethod
    def from_fields(cls, fields: Fields) -> Identity:
        """Read the five fields of an identity, the trace as nested JSON."""
        return cls(
            workload=fields.text("workload", WORKLOAD),
            target=fields.text("target", TARGET),
            metric=fields.metric("metric"),
            space=fields.text("space", SPACE),
            trace=_read_trace(fields),
        )

    def to_json(self) -> dict[str, Json]:
        """Return the five fields, the trace as nested JSON."""
        return {
            "workload": self.workload,
            "target": self.target,
            "metric": self.metric,
            "space": self.space,
            "trace": parse_json(self.trace),
        }


@dataclass(frozen=True)
class FixedRule:
    """What the schedule of the fixed rule takes of the same workload, target and toolchain.

    Attributes
    ----------
    packets_total, packets_critical:
        Packets of all contexts, and on the critical path, as in
        :class:`~vrmpy_tune.measurement.Counts`.
    """

    packets_total: int
    packets_critical: int

    def to_json(self) -> dict[str, Json]:
        """Return the figures as JSON data."""
        return {"packets_total": self.packets_total, "packets_critical": self.packets_critical}

    @classmethod
    def from_json(cls, value: Json) -> FixedRule:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        RecordFormatError
            If a figure is missing, unknown or below 1.
        """
        fields = Fields(value, "record's fixed rule")
        rule = cls(
            fields.integer("packets_total", minimum=1),
            fields.integer("packets_critical", minimum=1),
        )
        fields.end()
        return rule


@dataclass(frozen=True)
class Record:
    """One verified measurement, and where it came from.

    Call :meth:`from_measurement` for a new record and :meth:`from_json` for stored data; nothing
    else in this package constructs one.

    Attributes
    ----------
    identity:
        Workload, target, metric, space and trace.
    counts:
        What the device counted, in packets and instructions.  One run yields the figures of
        several metrics, so all are kept; records of different metrics are still never compared.
    static_vrmpy:
        Multiply instructions of the vrmpy family in the kernel's assembly.
    generator:
        Name of the code generator that made the code, which is another than the trace asks for
        where that one could not (:data:`vrmpy_tune.toolchain.codegen.FALLBACK`);
        :data:`UNKNOWN_GENERATOR` in records of schema 1.
    artifact:
        SHA-256 of the kernel's object code, in hexadecimal.
    device:
        The device's description of itself.
    inputs:
        Names of the input sets on which the output matched the reference bit for bit.
    alignment_checked:
        Whether the addresses of scalar accesses were checked too.
    seed:
        Seed of the search that found it, if there was one.
    toolchain:
        What decided the code and its figure, by name: the versions ``tvm``, ``tvm_ffi`` and
        ``zig``, the hashes ``lowering`` and ``packets``, and ``qemu``, where it was the device; see
        :func:`vrmpy_tune.toolchain.codegen.provenance`.
    structural_hash:
        TVM's structural hash of the workload's program.
    fixed_rule:
        What the fixed rule's schedule takes instead, where that was measured.
    """

    identity: Identity
    counts: Counts
    static_vrmpy: int
    generator: str
    artifact: str
    device: str
    inputs: tuple[str, ...]
    alignment_checked: bool
    seed: int | None
    toolchain: Mapping[str, str] = field(hash=False)
    structural_hash: str
    fixed_rule: FixedRule | None = None

    @classmethod
    def from_measurement(
        cls,
        measurement: Measurement,
        *,
        space: str,
        trace: str | Sequence[object],
        seed: int | None,
        generator: str,
        toolchain: Mapping[str, str],
        structural_hash: str,
        fixed_rule: FixedRule | None = None,
    ) -> Record:
        """Make the record of a verified measurement.

        Raises
        ------
        RecordFormatError
            If a field could not be read back from a store; the message names it.
        """
        identity = Identity(
            measurement.workload,
            measurement.target,
            measurement.metric,
            space,
            canonical_trace(trace),
        )
        record = cls(
            identity=identity,
            counts=measurement.counts,
            static_vrmpy=measurement.static_vrmpy,
            generator=generator,
            artifact=measurement.artifact,
            device=measurement.device,
            inputs=measurement.inputs,
            alignment_checked=measurement.alignment_checked,
            seed=seed,
            toolchain=dict(sorted(toolchain.items())),
            structural_hash=structural_hash,
            fixed_rule=fixed_rule,
        )
        # What is written must be readable: the same checks as on the way in.
        return cls.from_json(record.to_json())

    @classmethod
    def from_json(cls, value: Json) -> Record:
        """Read what :meth:`to_json` wrote, from a source that need not be trusted.

        Raises
        ------
        RecordFormatError
            If a field is missing, unknown, of the wrong type or out of range, if the schema is not
            :data:`SCHEMA` (see :mod:`vrmpy_tune.records.migration`), or if the id does not match.
        """
        check_limits(value)
        fields = Fields(value, "record")
        if (schema := fields.integer("schema")) != SCHEMA:
            raise RecordFormatError(f"The record has schema {schema}, not {SCHEMA}.")
        stored_id = fields.text("id", SHA256)
        identity = Identity.from_fields(fields)
        record = cls(
            identity=identity,
            counts=Counts(
                # A kernel of no packets cannot exist, and would win every comparison.
                packets_total=fields.integer("packets_total", minimum=1),
                packets_critical=fields.integer("packets_critical", minimum=1),
                instructions=fields.integer("instructions"),
                hvx_instructions=fields.integer("hvx_instructions"),
                context_packets=fields.integers("context_packets"),
                time=_read_time(fields, identity.metric),
            ),
            static_vrmpy=fields.integer("static_vrmpy"),
            generator=fields.text("generator", GENERATOR),
            artifact=fields.text("artifact", SHA256),
            device=fields.text("device"),
            inputs=fields.texts("inputs"),
            alignment_checked=fields.boolean("alignment_checked"),
            seed=fields.optional_integer("seed"),
            toolchain=fields.text_map("toolchain"),
            structural_hash=fields.text("structural_hash"),
            fixed_rule=_read_fixed_rule(fields),
        )
        fields.end()
        if stored_id != record.id:
            raise RecordFormatError(
                f"The record's id {stored_id[:SHORT_ID]} is not that of its content, "
                f"{record.short_id}: it was altered."
            )
        return record

    def under(self, metric: str) -> Record:
        """Return what the same run says under another metric of packets.

        Raises
        ------
        ValueError
            If it is a time: that was estimated in the run, or is not known.
        """
        if is_time(metric):
            raise ValueError(f"{metric} is a time, which no other figure stands for")
        identity = replace(self.identity, metric=metric)
        return replace(self, identity=identity, counts=replace(self.counts, time=None))

    def to_json(self) -> dict[str, Json]:
        """Return the record as JSON data: the identity's fields first, then the figures."""
        return {
            **self.identity.to_json(),
            "schema": SCHEMA,
            "id": self.id,
            "packets_total": self.counts.packets_total,
            "packets_critical": self.counts.packets_critical,
            "instructions": self.counts.instructions,
            "hvx_instructions": self.counts.hvx_instructions,
            "context_packets": list(self.counts.context_packets),
            **_time_to_json(self.counts.time if is_time(self.metric) else None),
            "static_vrmpy": self.static_vrmpy,
            "generator": self.generator,
            "artifact": self.artifact,
            "device": self.device,
            "inputs": list(self.inputs),
            "alignment_checked": self.alignment_checked,
            "seed": self.seed,
            "toolchain": dict(self.toolchain),
            "structural_hash": self.structural_hash,
            "fixed_rule": self.fixed_rule.to_json() if self.fixed_rule else None,
        }

    @property
    def workload(self) -> str:
        """Canonical workload text."""
        return self.identity.workload

    @property
    def target(self) -> str:
        """Target name."""
        return self.identity.target

    @property
    def metric(self) -> str:
        """Metric that :attr:`value` is a figure of."""
        return self.identity.metric

    @property
    def space(self) -> str:
        """Search space with its version."""
        return self.identity.space

    @property
    def trace(self) -> str:
        """Canonical text of the trace."""
        return self.identity.trace

    @property
    def id(self) -> str:
        """SHA-256 of the identity: 64 hexadecimal digits."""
        return self.identity.id

    @property
    def short_id(self) -> str:
        """The id's first 16 digits, for people; stores find records by them too."""
        return self.id[:SHORT_ID]

    @property
    def value(self) -> int:
        """The figure that the metric ranks by, in packets or nanoseconds; lower is better."""
        return self.counts.value(self.metric)

    @property
    def sort_key(self) -> SortKey:
        """Order of listings: by workload, target and metric, then best first.

        Of equal figures the one with fewer packets in all is better, and of those the lower id.
        """
        best_first = (self.value, self.counts.packets_total, self.id)
        return (self.workload, self.target, self.metric, *best_first)


def _time_to_json(time: EstimatedTime | None) -> dict[str, Json]:
    if time is None:
        return {}
    return {"nanoseconds": time.nanoseconds, "time_parts": dict(time.parts)}


def _read_time(fields: Fields, metric: str) -> EstimatedTime | None:
    """Read the time that records of a time metric have, and others have not."""
    if not is_time(metric):
        return None
    nanoseconds = fields.integer("nanoseconds", minimum=1)
    return EstimatedTime(metric, nanoseconds, tuple(fields.integer_map("time_parts").items()))


def _read_fixed_rule(fields: Fields) -> FixedRule | None:
    value = fields.any("fixed_rule")
    return None if value is None else FixedRule.from_json(value)


def _read_trace(fields: Fields) -> str:
    value = fields.any("trace")
    if not isinstance(value, list):
        raise RecordFormatError("The trace is not a list of instructions and decisions.")
    _check_pair(value)
    text = canonical_json(value)
    if len(text) > MAX_LINE_BYTES // 2:
        raise RecordFormatError(f"The trace is longer than {MAX_LINE_BYTES // 2:,} bytes.")
    return text
