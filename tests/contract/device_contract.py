"""What every device must do; subclass it and supply the fixtures, and pytest runs the suite.

The suite runs one job, "add one to every byte", which a subclass supplies in whatever form its
device runs, and asks only for what :class:`vrmpy_tune.device.protocol.Device` promises.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from vrmpy_tune.device.protocol import Device, Job, Limits
from vrmpy_tune.errors import DeviceError
from vrmpy_tune.measurement import METRICS, Outcome
from vrmpy_tune.target import TARGETS

V68 = TARGETS["hexagon-v68"]


class DeviceContract:
    """Needs the fixtures ``device``, ``fresh_device`` and ``add_one`` (a job of one input)."""

    @staticmethod
    def inputs(job: Job, seed: int) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(seed)
        return (rng.integers(0, 256, job.inputs[0].shape, dtype=np.uint8),)

    def test_it_describes_itself(self, device: Device) -> None:
        info = device.info()
        assert info.description
        assert set(info.targets) <= set(TARGETS)
        assert V68.name in info.targets
        assert set(info.metrics) <= set(METRICS)
        assert info.metrics
        assert info.slots >= 1

    def test_it_returns_outputs_of_the_stated_shape_and_type(
        self, device: Device, add_one: Job
    ) -> None:
        inputs = self.inputs(add_one, 0)
        result = device.run(add_one, (inputs,), V68, Limits())
        assert result.outcome is Outcome.OK, result.message
        assert result.message == ""
        (outputs,) = result.outputs
        assert [output.shape for output in outputs] == [spec.shape for spec in add_one.outputs]
        assert outputs[0].dtype == np.uint8
        np.testing.assert_array_equal(outputs[0], inputs[0] + np.uint8(1))

    def test_each_input_set_has_its_own_outputs_and_counts(
        self, device: Device, add_one: Job
    ) -> None:
        sets = tuple(self.inputs(add_one, seed) for seed in range(3))
        result = device.run(add_one, sets, V68, Limits())
        assert result.outcome is Outcome.OK, result.message
        assert len(result.outputs) == len(result.counts) == 3
        for (given,), (got,) in zip(sets, result.outputs, strict=True):
            np.testing.assert_array_equal(got, given + np.uint8(1))

    def test_counts_are_consistent_and_repeat(self, device: Device, add_one: Job) -> None:
        sets = (self.inputs(add_one, 1),)
        (first,) = device.run(add_one, sets, V68, Limits()).counts
        (second,) = device.run(add_one, sets, V68, Limits()).counts
        assert first == second
        assert first.packets_total > 0
        assert first.packets_critical <= first.packets_total
        assert len(first.context_packets) == V68.contexts
        assert sum(first.context_packets) == first.packets_total
        assert first.hvx_instructions <= first.instructions

    def test_it_cuts_a_run_beyond_its_packets_if_it_can(self, device: Device, add_one: Job) -> None:
        if not device.info().limits_packets:
            pytest.skip("this device cannot limit packets")
        sets = (self.inputs(add_one, 1),)
        (counts,) = device.run(add_one, sets, V68, Limits()).counts
        enough = Limits(packets=2 * counts.packets_total)
        assert device.run(add_one, sets, V68, enough).outcome is Outcome.OK
        too_few = Limits(packets=counts.packets_total // 2)
        result = device.run(add_one, sets, V68, too_few)
        assert result.outcome is Outcome.CUT
        assert result.message

    def test_it_can_be_used_from_several_threads(self, device: Device, add_one: Job) -> None:
        barrier = threading.Barrier(4)

        def one(seed: int) -> None:
            inputs = self.inputs(add_one, seed)
            barrier.wait()
            result = device.run(add_one, (inputs,), V68, Limits())
            assert result.outcome is Outcome.OK, result.message
            np.testing.assert_array_equal(result.outputs[0][0], inputs[0] + np.uint8(1))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(one, range(4)))

    def test_it_refuses_a_target_that_it_does_not_run(self, device: Device, add_one: Job) -> None:
        absent = [t for name, t in TARGETS.items() if name not in device.info().targets]
        for target in absent:
            with pytest.raises(DeviceError, match=target.name):
                device.run(add_one, (self.inputs(add_one, 0),), target, Limits())

    def test_once_closed_it_says_so(self, fresh_device: Callable[[], Device], add_one: Job) -> None:
        with fresh_device() as device:
            device.info()
        with pytest.raises(DeviceError, match="closed"):
            device.run(add_one, (self.inputs(add_one, 0),), V68, Limits())
        with pytest.raises(DeviceError, match="closed"):
            device.info()
        device.close()
