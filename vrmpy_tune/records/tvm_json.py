"""TVM's own ``JSONDatabase`` directories: export of records, import of traces to measure.

TVM's format holds a program, a trace and seconds, but no metric, no verification and no checksum.
So an export writes the packets where TVM keeps seconds, which preserves the ranking, and an import
yields unverified :class:`vrmpy_tune.records.imported.ImportedTrace`, never records.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from vrmpy_tune.errors import RecordFormatError, StaleRecordError, UsageError
from vrmpy_tune.measurement import METRICS
from vrmpy_tune.records.atomic_file import replace_file
from vrmpy_tune.records.imported import ImportedTrace
from vrmpy_tune.records.jsonlines import bounded_lines
from vrmpy_tune.records.record import Identity, canonical_trace
from vrmpy_tune.records.safe_json import Json, parse_json
from vrmpy_tune.replay import replay
from vrmpy_tune.target import parse_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from vrmpy_tune.records.record import Record

    IRModule: TypeAlias = Any
    """``tvm.ir.IRModule``; TVM is untyped."""

WORKLOAD_FILE: Final = "database_workload.json"
RECORD_FILE: Final = "database_tuning_record.json"
"""The names that TVM gives the two files."""

_TVM_ERRORS: Final = (RuntimeError, ValueError, TypeError, LookupError)
"""What TVM raises: its own errors derive from Python's."""


@dataclass(frozen=True)
class TvmExport:
    """What an export wrote.

    Attributes
    ----------
    written:
        How many records.
    stale:
        Records that were left out because their traces do not replay, with what TVM said.
    """

    written: int
    stale: tuple[tuple[Record, str], ...]


@dataclass(frozen=True)
class TvmImport:
    """What an import read.

    Attributes
    ----------
    traces:
        Traces of known workloads, to be measured.
    unknown:
        How many entries belong to programs that are no workload of ours.
    problems:
        What was wrong with the lines that were not read, with file and line number.
    """

    traces: tuple[ImportedTrace, ...]
    unknown: int
    problems: tuple[str, ...]


def export_tvm_json(
    records: Iterable[Record], directory: Path | str, program_of: Callable[[Record], IRModule]
) -> TvmExport:
    """Write records as a ``JSONDatabase`` directory, whose two files are replaced.

    Parameters
    ----------
    records:
        Of one metric and one target: TVM ranks all entries of a program together.
    directory:
        Where to; made if missing.
    program_of:
        The unscheduled program of a record's workload and space; a ``StaleRecordError`` that it
        raises leaves the record out.

    Raises
    ------
    UsageError
        If the records are of several metrics or targets.
    StoreError
        If the files cannot be written.
    """
    from tvm.s_tir import meta_schedule

    chosen = list(records)
    groups = {(record.target, record.metric) for record in chosen}
    if len(groups) > 1:
        raise UsageError(
            "TVM's format keeps neither target nor metric apart: export one of each, with "
            "--target and --metric."
        )
    stale: list[tuple[Record, str]] = []
    with tempfile.TemporaryDirectory(prefix="vrmpy-tune-export-") as scratch:
        database = meta_schedule.database.JSONDatabase(work_dir=scratch)
        for record in chosen:
            try:
                program = program_of(record)
                trace = replay(program, record.trace).trace
            except (StaleRecordError, *_TVM_ERRORS) as error:
                stale.append((record, _last_line(error)))
                continue
            entry = meta_schedule.database.TuningRecord(
                trace,
                database.commit_workload(program),
                [float(record.value)],
                parse_target(record.target).tvm_target(),
                meta_schedule.arg_info.ArgInfo.from_entry_func(program, remove_preproc=False),
            )
            database.commit_tuning_record(entry)
        del database
        for name in (WORKLOAD_FILE, RECORD_FILE):
            source = Path(scratch) / name
            lines = source.read_text().splitlines() if source.exists() else []
            replace_file(Path(directory) / name, lines)
    return TvmExport(len(chosen) - len(stale), tuple(stale))


def import_tvm_json(
    directory: Path | str,
    *,
    metric: str,
    target: str,
    identify: Callable[[IRModule], tuple[str, str] | None],
) -> TvmImport:
    """Read a ``JSONDatabase`` directory as traces to measure.

    TVM's parser reads the programs in this process: import only from where you would run code.

    Parameters
    ----------
    directory:
        Holds :data:`WORKLOAD_FILE` and :data:`RECORD_FILE`.
    metric:
        What the claimed figures count; TVM's format does not say.
    target:
        Target to measure the traces on.
    identify:
        The workload text and space of a program, or None for a stranger's;
        see :func:`identify_among`.

    Raises
    ------
    UsageError
        If the metric or target is unknown.
    RecordFormatError
        If a file is missing or too large.
    """
    if metric not in METRICS:
        raise UsageError(f"There is no metric '{metric}'. Known metrics: {', '.join(METRICS)}.")
    name = parse_target(target).name
    directory = Path(directory)
    problems: list[str] = []
    programs = [
        None if line is None else _known_program(line, where, identify, problems)
        for where, line in _lines(directory / WORKLOAD_FILE, problems)
    ]
    traces: list[ImportedTrace] = []
    unknown = 0
    for where, line in _lines(directory / RECORD_FILE, problems):
        if line is None:
            continue
        try:
            index, trace, claimed = _entry(line)
            known = programs[index] if index < len(programs) else None
            if known is None:
                unknown += 1
                continue
            program, workload, space = known
            # TVM's writer turns true into 1; a replay turns it back, and shows a stale trace.
            trace = canonical_trace(replay(program, trace).trace.as_json())
            identity = Identity(workload, name, metric, space, trace)
            draft = ImportedTrace(identity, claimed, str(directory))
            traces.append(ImportedTrace.from_json(draft.to_json()))
        except (RecordFormatError, StaleRecordError) as error:
            problems.append(f"{where}: {error}")
        except _TVM_ERRORS as error:
            problems.append(f"{where}: The trace does not replay: {_last_line(error)}")
    return TvmImport(tuple(traces), unknown, tuple(problems))


def identify_among(
    candidates: Iterable[tuple[str, str]], program_of: Callable[[str, str], IRModule]
) -> Callable[[IRModule], tuple[str, str] | None]:
    """Return a function that recognizes the programs of ``candidates`` by structural equality.

    Parameters
    ----------
    candidates:
        Workload texts and spaces.
    program_of:
        The unscheduled program of a workload text and space; a pair for which it raises
        ``StaleRecordError`` is left out.
    """
    import tvm_ffi

    table: dict[int, list[tuple[IRModule, tuple[str, str]]]] = {}
    for workload, space in candidates:
        try:
            program = program_of(workload, space)
        except StaleRecordError:
            # A space of another operator, where all workloads were paired with all spaces.
            continue
        key = int(tvm_ffi.structural_hash(program))
        table.setdefault(key, []).append((program, (workload, space)))

    def identify(program: IRModule) -> tuple[str, str] | None:
        for known, names in table.get(int(tvm_ffi.structural_hash(program)), ()):
            if tvm_ffi.structural_equal(known, program):
                return names
        return None

    return identify


def _lines(path: Path, problems: list[str]) -> Iterator[tuple[str, Json]]:
    """Yield every line's place and value; None for a bad line, whose number still counts."""
    for number, line in enumerate(bounded_lines(path), start=1):
        where = f"{path}:{number}"
        try:
            value = parse_json(line)
        except RecordFormatError as error:
            problems.append(f"{where}: {error}")
            value = None
        yield where, value


def _known_program(
    line: Json,
    where: str,
    identify: Callable[[IRModule], tuple[str, str] | None],
    problems: list[str],
) -> tuple[IRModule, str, str] | None:
    """Return a program with its workload text and space, if it is one of ours."""
    from tvm.s_tir import meta_schedule

    try:
        program = meta_schedule.database.Workload.from_json(line).mod
    except _TVM_ERRORS as error:
        problems.append(f"{where}: The program cannot be read: {_last_line(error)}")
        return None
    names = identify(program)
    return None if names is None else (program, *names)


def _entry(line: Json) -> tuple[int, str, float]:
    """Return the workload index, the canonical trace and the mean figure of one entry."""
    match line:
        case [int(index), [list(trace), [*seconds], _, _]] if index >= 0:
            figures = [s for s in seconds if isinstance(s, int | float)]
            if not figures or len(figures) != len(seconds):
                raise RecordFormatError("The entry has no figures.")
            try:
                return index, canonical_trace(trace), statistics.fmean(figures)
            except OverflowError as error:
                raise RecordFormatError("The entry's figures are out of range.") from error
    raise RecordFormatError("The entry is not [workload, [trace, seconds, target, arguments]].")


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
