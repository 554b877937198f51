"""A network compiled, run on the simulator and compared with the interpreter, bit for bit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.farm.local_farm import local_farm
from tests.model.networks import Builder
from tests.tuned import V68
from vrmpy_tune.device.qemu import QemuDevice
from vrmpy_tune.device.timing.estimate import PARTS
from vrmpy_tune.errors import MissingRecordError, UsageError, VerificationError
from vrmpy_tune.measurement import HVX_TIME_8GEN1
from vrmpy_tune.model.artifact import read_network
from vrmpy_tune.model.compile import NetworkReport, compile_network
from vrmpy_tune.model.compiled import CompiledModel
from vrmpy_tune.model.edge import dequantized, quantized
from vrmpy_tune.model.execution import execute
from vrmpy_tune.model.files import run_files
from vrmpy_tune.model.network import Network
from vrmpy_tune.model.reference import interpret
from vrmpy_tune.model.verification import check_outputs, drawn_inputs
from vrmpy_tune.suites.quantized import classifier, convolution

pytestmark = pytest.mark.device


def images(seed: int) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(seed).normal(0, 2, (1, 8, 8, 32)).astype(np.float32)}


@pytest.mark.parametrize("seed", range(3))
def test_the_device_equals_the_interpreter_bit_for_bit(
    network: Network, compiled: Path, seed: int
) -> None:
    given = images(seed)
    (port,), (result,) = network.inputs, network.outputs
    expected = interpret(network, {"input": quantized(port, given["image"])})[result.tensor]
    outputs = CompiledModel(compiled).run(given)
    np.testing.assert_array_equal(outputs, dequantized(result, expected))
    assert len(np.unique(expected)) > 2


def test_inputs_may_be_named_and_the_device_be_an_object(compiled: Path) -> None:
    model = CompiledModel(compiled)
    with QemuDevice() as device:
        np.testing.assert_array_equal(
            model.run(device=device, **images(1)), model.run(images(1), device="qemu")
        )
    with pytest.raises(UsageError, match="the input 'image' is missing"):
        model.run()


def test_a_farm_runs_a_network_as_the_device_here_does(compiled: Path) -> None:
    model = CompiledModel(compiled)
    here = model.profile(images(2))
    with local_farm() as farm:
        farm.serve("v68", "qemu", slots=1)
        with farm.device("v68") as device:
            there = model.profile(images(2), device=device)
    assert (there.counts, there.layers) == (here.counts, here.layers)
    np.testing.assert_array_equal(there.outputs["out_layer4"], here.outputs["out_layer4"])


def test_layers_packets_add_up_to_the_calls(compiled: Path, network: Network) -> None:
    run = CompiledModel(compiled).profile(images(0), verify=True)
    assert [layer.name for layer in run.layers] == [layer.name for layer in network.layers]
    totals = sum(layer.packets_total for layer in run.layers)
    critical = sum(layer.packets_critical for layer in run.layers)
    own = run.counts.packets_total - totals  # the executor's, all serial
    assert 0 < own < 100 * len(run.layers)
    assert run.counts.packets_critical - critical == own
    assert all(0 < layer.packets_critical <= layer.packets_total for layer in run.layers)
    # Parallel regions are really spread over contexts.
    assert run.layers[0].packets_critical < 0.6 * run.layers[0].packets_total
    document = run.as_json()
    assert sum(layer["share"] for layer in document["layers"]) == pytest.approx(
        totals / run.counts.packets_total
    )
    assert document["verified"]


def test_layers_have_estimated_times_beside_their_packets(compiled: Path, network: Network) -> None:
    run = run_files(compiled, metric=HVX_TIME_8GEN1, verify=False)
    times = [layer.time for layer in run.layers]
    whole = run.counts.time
    assert whole is not None
    assert len(times) == len(network.layers)
    assert None not in times
    apart = sum(time.nanoseconds for time in times if time is not None)
    assert 0.8 * whole.nanoseconds < apart < whole.nanoseconds
    document = run.as_json()
    assert document["estimated_us"] == whole.nanoseconds / 1e3
    assert set(document["layers"][0]["time_us"]) == set(PARTS)


def test_the_report_names_every_task_and_what_was_missed(report: NetworkReport) -> None:
    document = report.as_json()
    assert json.loads(json.dumps(document)) == document
    assert document["tensorized"] == {"conv2d": [2, 2], "dense": [1, 1]}
    assert [task["status"] for task in document["tasks"]] == ["missing"] * 5
    assert all("vrmpy-tune tune" in task["reason"] for task in document["tasks"])
    for task in document["tasks"]:
        assert task["missing_costs_at_most"] == task["packets"] - task["packet_bound"] > 0
    assert document["packets_critical"] < document["packets_total"]
    assert document["verified"]


def test_an_interface_says_what_the_model_takes_and_gives(compiled: Path) -> None:
    model = CompiledModel(compiled)
    ((port,), (result,)) = model.inputs, model.outputs
    assert (port.name, port.shape, port.dtype, port.scale) == (
        "image", (1, 8, 8, 32), "float32", 0.02,
    )  # fmt: skip
    assert (result.name, result.shape, result.zero_point) == ("out_layer4", (1, 10), 7)


def test_strict_names_each_missing_task_and_the_command_that_tunes_it(
    network: Network, tmp_path: Path
) -> None:
    with pytest.raises(MissingRecordError) as caught:
        compile_network(network, target=V68, records=[], output=tmp_path / "net", strict=True)
    message = str(caught.value)
    assert "5 of 5 tasks have no record" in message
    for layer in network.layers:
        assert f"{layer.name}: No record of {layer.workload}" in message
        assert f"vrmpy-tune tune '{layer.workload}'" in message
    assert not (tmp_path / "net").exists()


def test_odd_sizes_and_several_outputs(tmp_path: Path) -> None:
    builder = Builder((1, 7, 5, 1))

    def convolved(text: str, tensor: str) -> str:
        return builder.add(text.replace("w=7", "w=5"), tensor)

    first = convolved(convolution(7, (1, 3), 3, act="relu"), "input")
    second = convolved(convolution(7, (3, 33), 3), first)
    third = convolved(convolution(7, (3, 33)), first)
    both = builder.add("add:shape=1x7x5x33,lhs=u8,rhs=u8,out=u8", second, third)
    network = builder.network(both, first)
    report = compile_network(network, target=V68, records=[], output=tmp_path / "net")
    assert report.as_json()["verified"]
    outputs = CompiledModel(tmp_path / "net").run(image=np.full((1, 7, 5, 1), 0.7, np.float32))
    assert isinstance(outputs, dict)
    assert list(outputs) == [f"out_{both}", f"out_{first}"]


def test_a_wrong_output_is_found_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = Builder((1, 64))
    network = builder.network(builder.add(classifier(64, 32), "input"))

    def altered(*arguments: Any) -> Any:
        tables = build(*arguments)
        tables.parameters[:256] ^= 0x40  # weights
        return tables

    from vrmpy_tune.model import executable

    build = executable.build_tables
    monkeypatch.setattr(executable, "build_tables", altered)
    with pytest.raises(VerificationError, match="differ from the interpreter's on the inputs"):
        compile_network(network, target=V68, records=[], output=tmp_path / "net")
    assert not (tmp_path / "net").exists()


def test_parameters_of_another_network_are_refused_by_the_device(compiled: Path) -> None:
    stored = read_network(compiled)
    wrong = np.zeros(stored.program.parameters.size + 128, np.uint8)
    spec = replace(stored.program.inputs[0], shape=wrong.shape)
    program = replace(stored.program, parameters=wrong, inputs=(spec, *stored.program.inputs[1:]))
    with (
        QemuDevice() as device,
        pytest.raises(VerificationError, match="the parameters are not those of this network"),
    ):
        execute(program, drawn_inputs(stored.network)[:1], device, V68)


def test_a_difference_says_where_it_is(network: Network) -> None:
    (inputs, *_) = drawn_inputs(network)
    tensors = interpret(network, {"input": inputs[0]})
    wrong = tensors["layer4"].copy()
    wrong[0, 3] ^= 1
    with pytest.raises(VerificationError, match=r"1 of 10 elements .* at \[0, 3\], is"):
        check_outputs(network, inputs, [wrong], "this")
