"""A small network, compiled once for all tests of a process."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from tests.model.networks import residual_network
from tests.tuned import V68
from vrmpy_tune.model.compile import NetworkReport, compile_network


@cache
def compiled_residual() -> NetworkReport:
    """Return the report of the residual network, compiled without a record and verified.

    Its artifact directory is not to be changed.
    """
    directory = Path(tempfile.mkdtemp(prefix="tests-of-vrmpy-tune-", dir="/tmp"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return compile_network(residual_network(), target=V68, records=[], output=directory / "net")
