"""From a stored trace back to a scheduled program, whoever wrote it.

A trace is data of strangers, and TVM's reader of traces trusts its input.  So it is checked first,
as data (:mod:`vrmpy_tune.records.trace_check`) and against the tiles of its workload in its search
space.  What then has the very instructions of a design space as this version draws it is scheduled
from that design space's own trace: TVM never reads the stored one.  What an older version of the
space wrote may differ in its instructions, and is replayed in a process that may die of it.
"""

from __future__ import annotations

import atexit
import json
import math
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.errors import BuildError, RecordFormatError, StaleRecordError

if TYPE_CHECKING:
    import tvm
    from tvm.s_tir import Schedule, Trace

    from search_spaces.space import Space
    from vrmpy_tune.records.record import Identity
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.toolchain.pool import CodegenPool
    from vrmpy_tune.tune.draws import Design, PlainTrace
    from vrmpy_tune.workload import Workload

DESIGNS: Final = 256
"""Design spaces that are kept: those of a network's layers."""

REPLAY_S: Final = 20.0
"""CPU seconds for one replay; those of the largest spaces take less than one."""


def trace_json(trace: Trace) -> Any:
    """Return a trace as JSON data, without what postprocessors added."""
    return trace.as_json(remove_postproc=True)


def replay_record(
    space: Space,
    workload: Workload,
    target: HexagonTarget,
    trace: str,
    *,
    module: tvm.IRModule | None = None,
    keep_trace: bool = False,
) -> Schedule:
    """Return a workload's program, scheduled as the trace of a record says.

    Whatever the trace holds, this process survives it.

    Parameters
    ----------
    space, workload, target:
        What the record is of.
    trace:
        JSON text, as records carry it; it need not be trusted.
    module:
        The unscheduled program; that of ``space`` by default.
    keep_trace:
        Whether the schedule's trace is needed too.  One of an older version of the space is then
        replayed in this process as well, after another one survived it.

    Raises
    ------
    StaleRecordError
        If the trace does not fit the program: an older version of the space made it, or it was
        altered.
    """
    from search_spaces.space import sketch_of
    from vrmpy_tune.tune.draws import Draw, chosen_in

    plain = readable_trace(space, workload, target, trace)
    program = space.module(workload) if module is None else module
    design = _named_design(space, workload, target, sketch_of(plain))
    if design is None or design.likeness != plain.likeness:
        elsewhere = _replay_elsewhere(program, trace)
        return replay(program, trace) if keep_trace else elsewhere
    try:
        return Draw(design, chosen_in(plain)).schedule(program)
    except Exception as error:
        raise _stale(error) from error


def replay_identity(
    identity: Identity, *, module: tvm.IRModule | None = None, keep_trace: bool = False
) -> Schedule:
    """Do :func:`replay_record` with what a record names.

    Raises
    ------
    StaleRecordError
        If the record names a workload, target or space that this version does not have, too.
    """
    space, workload, target = named_in(identity)
    return replay_record(
        space, workload, target, identity.trace, module=module, keep_trace=keep_trace
    )


def named_in(identity: Identity) -> tuple[Space, Workload, HexagonTarget]:
    """Return the space, workload and target of a record.

    Raises
    ------
    StaleRecordError
        If this version does not have one of them.
    """
    from search_spaces import find_space
    from vrmpy_tune.errors import UsageError, WorkloadError
    from vrmpy_tune.target import parse_target
    from vrmpy_tune.workload import parse_workload

    try:
        workload, target = parse_workload(identity.workload), parse_target(identity.target)
    except (WorkloadError, UsageError) as error:
        raise StaleRecordError(f"The record cannot be used: {error}") from None
    space = find_space(identity.space)
    if space is None:
        raise StaleRecordError(
            f"The search space '{identity.space}' does not exist in this version. Tune "
            f"{identity.workload} again."
        )
    return space, workload, target


def readable_trace(
    space: Space, workload: Workload, target: HexagonTarget, trace: str
) -> PlainTrace:
    """Return a record's trace to read choices from, after checking that the workload has them.

    TVM takes no part in it, and nothing is scheduled.

    Raises
    ------
    StaleRecordError
        If the trace is none of the space's for the workload.
    """
    from vrmpy_tune.records.trace_check import check_trace
    from vrmpy_tune.tune.draws import plain_trace

    try:
        check_trace(trace)
    except RecordFormatError as error:
        raise _stale(error) from None
    if not space.applies(workload, target):
        raise StaleRecordError(
            f"The search space {space.name} is none of {workload} on {target.name}. Tune it again."
        )
    plain = plain_trace(trace)
    misfit = _misfit(space, workload, target, plain)
    if misfit:
        raise StaleRecordError(
            f"The trace's decisions do not fit {workload}: {misfit}. Tune it again."
        )
    return plain


def _misfit(space: Space, workload: Workload, target: HexagonTarget, plain: PlainTrace) -> str:
    """Return what a trace chooses that the workload does not have; empty if all is well."""
    from search_spaces.space import sketch_of
    from vrmpy_tune.toolchain.codegen import CODE_GENERATORS

    tilings = space.tilings(workload, target, sketch_of(plain))
    if tilings is None:
        return "it names no design space of it"
    drawn: dict[str, list[Any]] = {"SamplePerfectTile": [], "SampleCategorical": []}
    for step, decision in plain.decisions.items():
        drawn[step.kind.name].append(decision)
    tiles, categories = drawn["SamplePerfectTile"], drawn["SampleCategorical"]
    if len(tiles) != len(tilings):
        return f"it has {len(tiles)} tiles instead of {len(tilings)}"
    for tile, tiling in zip(tiles, tilings, strict=True):
        if len(tile) != tiling.parts or math.prod(tile) != tiling.extent:
            return f"the tile {tile} does not divide a loop of {tiling.extent}"
        if tile[-1] > tiling.limit:
            return f"the tile {tile} is larger than {tiling.limit}"
    if len(categories) != 1 or categories[0] >= len(CODE_GENERATORS):
        return "it names no code generator"
    return ""


@lru_cache(DESIGNS)
def _named_design(
    space: Space, workload: Workload, target: HexagonTarget, sketch: str
) -> Design | None:
    """Return the design space that a trace names, if the workload has it."""
    from vrmpy_tune.tune.draws import Design

    schedule = space.design(workload, target, sketch)
    return None if schedule is None else Design.of(schedule.trace)


def _replay_elsewhere(module: tvm.IRModule, trace: str) -> Schedule:
    """Replay a trace in a process that may die of it; the schedule has no trace of its own."""
    import tvm
    from tvm.s_tir import Schedule

    try:
        scheduled = _pool().replay(tvm.ir.save_json(module), trace)
        return Schedule(tvm.ir.load_json(scheduled), debug_mask="none", error_render_level="none")
    except BuildError as error:
        raise _stale(error) from error


@cache
def _pool() -> CodegenPool:
    """Return the one process in which traces are replayed, started when first needed."""
    from vrmpy_tune.toolchain.pool import CodegenPool

    pool = CodegenPool(1, cpu_s=REPLAY_S)
    atexit.register(pool.close)
    return pool


def replay(module: tvm.IRModule, trace: str) -> Schedule:
    """Apply the text of a trace to an unscheduled program, in this process.

    For traces that this process made, or that another process survived: see :func:`replay_record`.

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
    from vrmpy_tune.records.trace_check import check_trace

    schedule = Schedule(module, debug_mask="none", error_render_level="none")
    try:
        check_trace(trace)
        for kind, _inputs, attributes, _outputs in json.loads(trace)[0]:
            if kind == "Tensorize":
                ensure(attributes[0])
        Trace.apply_json_to_schedule(json.loads(trace), schedule)
    except Exception as error:
        raise _stale(error) from error
    if _decisions(trace_json(schedule.trace)) != _decisions(json.loads(trace)):
        # TVM makes a tile fit that does not divide its loop, and draws what is missing: another
        # kernel than the one that was measured.
        raise StaleRecordError(
            "The trace's decisions do not fit the loops of its program. Tune it again."
        )
    return schedule


def _stale(error: Exception) -> StaleRecordError:
    cause = str(error).strip().splitlines()[-1:] or [type(error).__name__]
    return StaleRecordError(
        f"The trace no longer replays on its program ({cause[0][:200]}). Tune it again."
    )


def _decisions(trace: Any) -> str:
    """Return the decisions of a trace's JSON as text; TVM's ``IntImm`` become numbers."""
    return json.dumps(trace[1], default=int)
