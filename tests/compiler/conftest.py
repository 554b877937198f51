from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tuned import DENSE, V68, tuned_store
from vrmpy_tune.compiler import CompileReport, compile_workloads
from vrmpy_tune.workload import parse_workload

Compile = Callable[..., CompileReport]


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    """Compile workloads (texts) from the tuned store into ``out``."""

    def run(*texts: str, **options: Any) -> CompileReport:
        defaults = {"target": V68, "records": [str(tuned_store())], "output": tmp_path / "out"}
        workloads = [parse_workload(text) for text in texts or (DENSE,)]
        return compile_workloads(workloads, **{**defaults, **options})

    return run
