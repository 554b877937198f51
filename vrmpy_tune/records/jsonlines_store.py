"""Shipped records, read from JSON Lines into memory."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vrmpy_tune.closing import ClosedOnExit
from vrmpy_tune.errors import RecordFormatError
from vrmpy_tune.records.jsonlines import LineProblem, read_json_lines
from vrmpy_tune.records.record import Identity, Record
from vrmpy_tune.records.record_ids import check_id, only_one

if TYPE_CHECKING:
    from vrmpy_tune.records.imported import ImportedTrace
    from vrmpy_tune.records.outcomes import Failure, FinishedRun

_LOG: Final = logging.getLogger(__name__)


class JsonLinesStore(ClosedOnExit):
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
        self._path = Path(path)
        problems: list[LineProblem] = []
        records: dict[str, Record] = {}
        self._failures: dict[str, Failure] = {}
        for file in _files(self._path):
            for item in read_json_lines(file):
                if isinstance(item, LineProblem):
                    problems.append(item)
                    _LOG.warning("%s", item)
                elif isinstance(item, Record):
                    records.setdefault(item.id, item)
                else:
                    self._failures.setdefault(item.id, item)
        if problems and not records and not self._failures:
            raise RecordFormatError(f"{self._path} holds no records. {problems[0]}")
        self.problems = tuple(problems)
        self._by_id = records
        self._ordered = sorted(records.values(), key=lambda record: record.sort_key)

    @property
    def location(self) -> str:
        """Path of the file or directory."""
        return str(self._path)

    def get(self, record_id: str) -> Record | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.get`."""
        check_id(record_id)
        return only_one([r for r in self._ordered if r.id.startswith(record_id)], record_id)

    def get_failure(self, failure_id: str) -> Failure | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.get_failure`."""
        return self._failures.get(failure_id)

    def find(self, identity: Identity) -> Record | Failure | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.find`."""
        return self._by_id.get(identity.id) or self._failures.get(identity.id)

    def best(self, workload: str, target: str, metric: str) -> Record | None:
        """See :meth:`vrmpy_tune.records.store.RecordReader.best`."""
        found = self.query(workload, target, metric, limit=1)
        return found[0] if found else None

    def query(
        self,
        workload: str | None = None,
        target: str | None = None,
        metric: str | None = None,
        space: str | None = None,
        limit: int | None = None,
    ) -> list[Record]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.query`."""
        found = [
            record
            for record in self._ordered
            if workload in (None, record.workload)
            and target in (None, record.target)
            and metric in (None, record.metric)
            and space in (None, record.space)
        ]
        return found[:limit]

    def failures(self, workload: str | None = None) -> list[Failure]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.failures`."""
        found = (f for f in self._failures.values() if workload in (None, f.identity.workload))
        return sorted(found, key=lambda failure: failure.id)

    def imported(self, workload: str | None = None) -> list[ImportedTrace]:
        """Return nothing: record files hold no imported traces."""
        return []

    def workloads(self) -> list[str]:
        """See :meth:`vrmpy_tune.records.store.RecordReader.workloads`."""
        return sorted({record.workload for record in self._ordered})

    def count(self) -> int:
        """See :meth:`vrmpy_tune.records.store.RecordReader.count`."""
        return len(self._ordered)

    def finished_run(self, key: str) -> FinishedRun | None:
        """Return None: record files hold no finished runs."""
        return None

    def finished_runs(self) -> list[FinishedRun]:
        """Return nothing: record files hold no finished runs."""
        return []

    def close(self) -> None:
        """Do nothing: everything is in memory."""


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted({*path.glob("*.jsonl"), *path.glob("*/*.jsonl")})
