"""The farm is a device like any other: it passes the suite that all pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.device_contract import DeviceContract
from tests.device import simulated
from tests.farm.conftest import KEY
from tests.farm.local_farm import LocalFarm, local_farm
from vrmpy_tune.device.protocol import Device, Job


class TestFarmOfFakes(DeviceContract):
    @pytest.fixture
    def device(self, farm: LocalFarm) -> Iterator[Device]:
        with farm.device(KEY) as device:
            yield device

    @pytest.fixture
    def fresh_device(self, farm: LocalFarm) -> Callable[[], Device]:
        return lambda: farm.device(KEY)

    @pytest.fixture
    def add_one(self, tmp_path: Path) -> Job:
        path = tmp_path / "kernel.o"
        path.write_bytes(b"add one")
        return simulated.job(path)


@pytest.fixture(scope="module")
def qemu_farm() -> Iterator[LocalFarm]:
    with local_farm() as farm:
        farm.serve("hexagon-v68", "qemu", slots=2)
        yield farm


@pytest.mark.device
class TestFarmOfSimulators(DeviceContract):
    @pytest.fixture
    def device(self, qemu_farm: LocalFarm) -> Iterator[Device]:
        with qemu_farm.device("hexagon-v68") as device:
            yield device

    @pytest.fixture
    def fresh_device(self, qemu_farm: LocalFarm) -> Callable[[], Device]:
        return lambda: qemu_farm.device("hexagon-v68")

    @pytest.fixture
    def add_one(self) -> Job:
        return simulated.job(simulated.build("add_one"))
