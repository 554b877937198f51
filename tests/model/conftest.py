from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.model.compiled import compiled_residual
from tests.model.networks import residual_network
from vrmpy_tune.model.compile import NetworkReport
from vrmpy_tune.model.network import Network


@pytest.fixture(scope="session")
def network() -> Network:
    """Two convolutions with a residual, pooling, and a classifier."""
    return residual_network()


@pytest.fixture(scope="session")
def report() -> NetworkReport:
    """What compiling it without a record came to."""
    return compiled_residual()


@pytest.fixture(scope="session")
def compiled(report: NetworkReport) -> Path:
    """Its artifact directory, not to be changed."""
    return report.artifact


@pytest.fixture
def artifact(compiled: Path, tmp_path: Path) -> Path:
    """A copy to alter."""
    return Path(shutil.copytree(compiled, tmp_path / "net"))
