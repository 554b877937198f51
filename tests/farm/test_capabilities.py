"""What serving hosts say of their devices, put together and checked against this host."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from vrmpy_tune.device.fake import FakeDevice
from vrmpy_tune.device.rpc import _agreed
from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm.worker import _capabilities


def told(**changes: Any) -> dict[str, Any]:
    return {**_capabilities(FakeDevice().info()), **changes}


def test_equal_devices_are_described_as_one() -> None:
    info = _agreed([told(), told()], 7)
    assert asdict(info) == {**asdict(FakeDevice().info()), "slots": 7}


def test_only_what_all_can_do_is_promised() -> None:
    other = told(
        description="another", targets=("hexagon-v68",), metrics=("qemu-packets/1",),
        limits_packets=False, contexts={"hexagon-v68": 4},
    )  # fmt: skip
    info = _agreed([told(), other], 2)
    assert info.targets == ("hexagon-v68",)
    assert info.metrics == ("qemu-packets/1",)
    assert not info.limits_packets
    assert info.description == "fake device / another"


def test_different_clocks_under_one_key_are_refused() -> None:
    with pytest.raises(FarmError, match=r"fixed 1190 MHz, simulated.*different keys"):
        _agreed([told(), told(clock="fixed 1190 MHz")], 2)


def test_a_host_that_counts_other_contexts_is_refused() -> None:
    with pytest.raises(FarmError, match=r"hexagon-v68 for a target of 6 contexts"):
        _agreed([told(contexts={"hexagon-v68": 6})], 1)
