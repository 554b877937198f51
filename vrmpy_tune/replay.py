"""From a stored trace back to a scheduled program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vrmpy_tune.errors import StaleRecordError

if TYPE_CHECKING:
    import tvm
    from tvm.s_tir import Schedule, Trace


def trace_json(trace: Trace) -> Any:
    """Return a trace as JSON data, without what postprocessors added."""
    return trace.as_json(remove_postproc=True)


def replay(module: tvm.IRModule, trace: str) -> Schedule:
    """Apply the text of a trace to an unscheduled program.

    Parameters
    ----------
    module:
        The program: :meth:`search_spaces.space.Space.module`, or ``plain_module``.
    trace:
        JSON text, as records carry it.

    Raises
    ------
    StaleRecordError
        If the trace does not fit the program: it was made by another version of the space.
    """
    from tvm.s_tir import Schedule
    from tvm.s_tir.schedule import Trace

    from vrmpy_tune.intrin.registry import ensure

    schedule = Schedule(module, debug_mask="none", error_render_level="none")
    try:
        for kind, _inputs, attributes, _outputs in json.loads(trace)[0]:
            if kind == "Tensorize":
                ensure(attributes[0])
        Trace.apply_json_to_schedule(json.loads(trace), schedule)
    except Exception as error:
        cause = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise StaleRecordError(
            f"The trace no longer replays on its program ({cause[0][:200]}). Tune it again."
        ) from error
    if _decisions(trace_json(schedule.trace)) != _decisions(json.loads(trace)):
        # TVM makes a tile fit that does not divide its loop, and draws what is missing: another
        # kernel than the one that was measured.
        raise StaleRecordError(
            "The trace's decisions do not fit the loops of its program. Tune it again."
        )
    return schedule


def _decisions(trace: Any) -> str:
    """Return the decisions of a trace's JSON as text; TVM's ``IntImm`` become numbers."""
    return json.dumps(trace[1], default=int)
