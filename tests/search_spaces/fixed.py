"""Schedules with decisions fixed by hand: goldens, and traces that were tampered with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tvm.s_tir import Schedule

from search_spaces.decisions import Decisions
from tests.toolchain.generated import V68
from vrmpy_tune.records.record import canonical_trace
from vrmpy_tune.replay import replay, trace_json

if TYPE_CHECKING:
    from search_spaces.space import Space
    from search_spaces.tiling import Sketch
    from vrmpy_tune.workload import Workload


def with_decisions(schedule: Schedule, *decisions: Any) -> str:
    """Return the trace of a schedule with its sampled decisions replaced, in order."""
    instructions, sampled = json.loads(canonical_trace(trace_json(schedule.trace)))
    replaced = [[index, value] for (index, _), value in zip(sampled, decisions, strict=True)]
    return json.dumps([instructions, replaced])


def fixed(workload: Workload, space: Space, chosen: Decisions) -> Schedule:
    """Return the schedule of one choice."""
    base = Schedule(space.module(workload), seed=1)
    schedule = _of_sketch(space.generator(workload, V68)(base), chosen.sketch)
    trace = with_decisions(
        schedule, list(chosen.columns), list(chosen.rows), list(chosen.depth), chosen.generator
    )
    made = replay(space.module(workload), trace)
    assert Decisions.of(made.trace) == chosen
    return made


def _of_sketch(schedules: list[Schedule], sketch: Sketch) -> Schedule:
    (found,) = (one for one in schedules if Decisions.of(one.trace).sketch == sketch)
    return found
