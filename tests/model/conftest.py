from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.model.networks import residual_network
from tests.tuned import V68
from vrmpy_tune.model.compile import NetworkReport, compile_network
from vrmpy_tune.model.network import Network


@pytest.fixture(scope="session")
def network() -> Network:
    """Two convolutions with a residual, pooling, and a classifier."""
    return residual_network()


@pytest.fixture(scope="session")
def report(network: Network, tmp_path_factory: pytest.TempPathFactory) -> NetworkReport:
    """The network compiled without a record, and verified on the simulator."""
    output = tmp_path_factory.mktemp("model") / "net"
    return compile_network(network, target=V68, records=[], output=output)


@pytest.fixture(scope="session")
def compiled(report: NetworkReport) -> Path:
    """Its artifact directory, not to be changed."""
    return report.artifact


@pytest.fixture
def artifact(compiled: Path, tmp_path: Path) -> Path:
    """A copy to alter."""
    return Path(shutil.copytree(compiled, tmp_path / "net"))
