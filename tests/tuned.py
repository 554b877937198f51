"""A store with real records of two small workloads, tuned once for all tests of a process."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from vrmpy_tune.records import Record, open_store
from vrmpy_tune.records.record import canonical_trace
from vrmpy_tune.target import TARGETS
from vrmpy_tune.tune.run import tune
from vrmpy_tune.workload import parse_workload

DENSE: Final = "dense:m=8,n=32,k=16,lhs=u8,rhs=u8"
CONV: Final = "conv2d:n=1,h=5,w=6,ci=4,co=32,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8"
UNKNOWN: Final = "dense:m=9,n=32,k=16,lhs=u8,rhs=u8"
"""A workload without records."""

V68: Final = TARGETS["hexagon-v68"]


@cache
def tuned_store() -> Path:
    """Return a store with a few records of :data:`DENSE` and :data:`CONV`; not to be changed."""
    directory = Path(tempfile.mkdtemp(prefix="tests-of-vrmpy-tune-", dir="/tmp"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    path = directory / "tuned.db"
    workloads = [parse_workload(text) for text in (DENSE, CONV)]
    tune(workloads, target=V68, trials=4, effort="quick", records=str(path))
    return path


def records(workload: str) -> list[Record]:
    """Return a workload's records, best first."""
    with open_store(tuned_store(), readonly=True) as store:
        return store.query(workload)


def falsified(record: Record, packets: int) -> Record:
    """Return a record that claims another figure."""
    counts = replace(record.counts, packets_total=packets, packets_critical=packets)
    return replace(record, counts=counts)


def stale(record: Record) -> Record:
    """Return a record with a better figure, whose trace no longer replays."""
    instructions, decisions = json.loads(record.trace)
    instructions[0][2] = ["no_such_block", "main"]
    trace = canonical_trace([instructions, decisions])
    return replace(falsified(record, 1), identity=replace(record.identity, trace=trace))
