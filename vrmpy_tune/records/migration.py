"""Records of past schema versions, brought to the present one step at a time.

A past version is never edited here: each step turns the JSON data of one version into the next's.
Frozen files of every past version are in ``tests/records/data``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vrmpy_tune.errors import RecordFormatError
from vrmpy_tune.records.fields import Fields
from vrmpy_tune.records.record import SCHEMA, UNKNOWN_GENERATOR, Identity
from vrmpy_tune.records.safe_json import Json, check_limits


def migrate(value: Json) -> Json:
    """Return a stored record's data in the present schema.

    Raises
    ------
    RecordFormatError
        If the schema is newer than this version's, or the data is not of the schema it names.
    """
    check_limits(value)
    schema = value.get("schema") if isinstance(value, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 0:
        raise RecordFormatError("This is not a record: it names no schema version.")
    if schema > SCHEMA:
        raise RecordFormatError(
            f"The record has schema {schema}, written by a newer vrmpy-tune; this version reads "
            f"up to {SCHEMA}. Upgrade: pip install -U vrmpy-tune."
        )
    for step in _STEPS[schema:]:
        value = step(value)
    return value


def _from_0(value: Json) -> Json:
    """Read schema 0, which measured on one context and kept neither ids nor structural hashes.

    All packets were on that context, so the critical path is the total.
    """
    fields = Fields(value, "record of schema 0")
    fields.integer("schema")
    identity = Identity.from_fields(fields)
    packets = fields.integer("packets")
    migrated: dict[str, Json] = {
        **identity.to_json(),
        "schema": 1,
        "id": identity.id,
        "packets_total": packets,
        "packets_critical": packets,
        "context_packets": [packets],
        "alignment_checked": False,
        "structural_hash": "",
    }
    kept = ("instructions", "hvx_instructions", "static_vrmpy", "artifact", "device", "inputs")
    migrated |= {name: fields.any(name) for name in (*kept, "seed", "toolchain")}
    fields.end()
    return migrated


def _from_1(value: Json) -> Json:
    """Read schema 1, which did not say which code generator was really used."""
    if not isinstance(value, dict):
        raise RecordFormatError("A record of schema 1 is a JSON object.")
    added = {"generator": UNKNOWN_GENERATOR, "fixed_rule": None}
    if clash := sorted(added.keys() & value.keys()):
        raise RecordFormatError(f"The record of schema 1 has the unknown field '{clash[0]}'.")
    return {**value, **added, "schema": 2}


_STEPS: Final[tuple[Callable[[Json], Json], ...]] = (_from_0, _from_1)
"""Step ``i`` leads from schema ``i`` to ``i + 1``."""
