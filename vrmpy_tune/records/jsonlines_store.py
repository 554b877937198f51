"""Shipped records, read from JSON Lines into memory."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import RecordFormatError
from vrmpy_tune.records.jsonlines import LineProblem, read_json_lines
from vrmpy_tune.records.memory_reader import MemoryReader
from vrmpy_tune.records.record import Record

if TYPE_CHECKING:
    from vrmpy_tune.records.outcomes import Failure

_LOG: Final = logging.getLogger(__name__)


class JsonLinesStore(MemoryReader):
    """A :class:`vrmpy_tune.records.store.RecordReader` of JSON Lines files, see there.

    Parameters
    ----------
    path:
        A ``.jsonl`` file, or a directory of ``<arch>/<suite>.jsonl``.

    Attributes
    ----------
    problems:
        Lines that were not read, each also reported as a warning.

    Raises
    ------
    RecordFormatError
        If a file cannot be read, or holds lines of which none is a record.
    """

    def __init__(self, path: Path | str) -> None:
        path = Path(path)
        problems: list[LineProblem] = []
        records: list[Record] = []
        failures: list[Failure] = []
        for file in files_of(path):
            for item in read_json_lines(file):
                if isinstance(item, LineProblem):
                    problems.append(item)
                    _LOG.warning("%s", item)
                elif isinstance(item, Record):
                    records.append(item)
                else:
                    failures.append(item)
        if problems and not records and not failures:
            raise RecordFormatError(f"{path} holds no records. {problems[0]}")
        self.problems = tuple(problems)
        super().__init__(str(path), records, failures)


def files_of(path: Path) -> list[Path]:
    """Return a record file, or the record files of a directory in order."""
    if not path.is_dir():
        return [path]
    return sorted({*path.glob("*.jsonl"), *path.glob("*/*.jsonl")})
