"""Every device passes the same suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.contract.device_contract import DeviceContract
from tests.device import simulated
from vrmpy_tune.device.fake import FakeDevice
from vrmpy_tune.device.protocol import Device, Job
from vrmpy_tune.device.qemu import QemuDevice


@pytest.mark.device
class TestQemu(DeviceContract):
    @pytest.fixture
    def device(self) -> Device:
        return simulated.qemu()

    @pytest.fixture
    def fresh_device(self) -> Callable[[], Device]:
        return QemuDevice

    @pytest.fixture
    def add_one(self) -> Job:
        return simulated.job(simulated.build("add_one"))


def _add_one(job: Job, inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    del job
    return (inputs[0] + np.uint8(1),)


class TestFake(DeviceContract):
    @pytest.fixture
    def device(self) -> Device:
        return FakeDevice(_add_one)

    @pytest.fixture
    def fresh_device(self) -> Callable[[], Device]:
        return lambda: FakeDevice(_add_one)

    @pytest.fixture
    def add_one(self, tmp_path: Path) -> Job:
        return simulated.job(tmp_path / "no-such.o")
