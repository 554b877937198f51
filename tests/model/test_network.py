"""The frozen form of the integer module."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.model.networks import Builder, residual_network
from tests.model.relax_modules import module_of
from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.network import INTERFACE, Layer, Network, Port, network_of
from vrmpy_tune.model.reference import interpret
from vrmpy_tune.model.tasks import spread, tasks_of
from vrmpy_tune.suites.quantized import convolution
from vrmpy_tune.workload import parse_workload


@pytest.mark.parametrize("flatten_last", [False, True])
def test_a_network_survives_the_way_through_a_module(flatten_last: bool) -> None:
    network = residual_network()
    read = network_of(module_of(network, flatten_last=flatten_last))
    assert [layer.workload for layer in read.layers] == [one.workload for one in network.layers]
    assert [layer.inputs for layer in read.layers] == [one.inputs for one in network.layers]
    for found, wanted in zip(read.layers, network.layers, strict=True):
        assert found.constants.keys() == wanted.constants.keys()
        for name, array in wanted.constants.items():
            np.testing.assert_array_equal(found.constants[name], array)
    assert read.inputs == network.inputs
    assert [replace(port, tensor="") for port in read.outputs] == [
        replace(port, tensor="") for port in network.outputs
    ]


def test_several_outputs_keep_their_order() -> None:
    builder = Builder((1, 4, 4, 32))
    first = builder.add(convolution(4, (32, 32), act="relu"), "input")
    second = builder.add(convolution(4, (32, 64)), first)
    network = network_of(module_of(builder.network(second, first)))
    assert [port.name for port in network.outputs] == [f"out_{second}", f"out_{first}"]
    assert [port.integer_shape[-1] for port in network.outputs] == [64, 32]


def test_layers_of_one_name_are_told_apart() -> None:
    network = residual_network()
    layers = (network.layers[0], replace(network.layers[1], name="layer0"), *network.layers[2:])
    module = module_of(Network(layers, network.inputs, network.outputs))
    names = [layer.name for layer in network_of(module).layers]
    assert len(set(names)) == len(names) == 5


def test_what_is_no_kernel_is_refused_by_name() -> None:
    module = module_of(residual_network())
    (kernel,) = [one for one in module.get_global_vars() if one.name_hint == "max_pool2d"]
    module[kernel] = module[kernel].without_attr("vrmpy.workload")
    with pytest.raises(ModelError, match="layer2 calls max_pool2d, which names no workload"):
        network_of(module)


def test_an_unknown_layout_is_refused() -> None:
    module = module_of(residual_network())
    text = str(module["main"].attrs[INTERFACE]).replace('"nhwc"', '"nhcw"')
    module["main"] = module["main"].with_attr(INTERFACE, text)
    with pytest.raises(ModelError, match="'nhcw'"):
        network_of(module)


def layer(**changes: object) -> Layer:
    return replace(residual_network().layers[0], **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (layer(inputs=("nowhere",)), "tensor nowhere, which no layer before it makes"),
        (layer(inputs=("input", "input")), "has 2 inputs, but conv2d takes 1"),
        (layer(constants={}), "needs the constant weights .* missing"),
        (layer(workload=parse_workload(convolution(4, (32, 32), 3))), "but the tensor input is"),
    ],
)
def test_a_layer_that_does_not_fit_is_refused(changed: Layer, message: str) -> None:
    network = residual_network()
    with pytest.raises(ModelError, match=message):
        Network((changed, *network.layers[1:]), network.inputs, network.outputs)


def test_an_output_that_nobody_makes_is_refused() -> None:
    network = residual_network()
    port = replace(network.outputs[0], tensor="nowhere")
    with pytest.raises(ModelError, match="The output out_layer4 reads the tensor nowhere"):
        Network(network.layers, network.inputs, (port,))


def test_two_outputs_that_are_one_tensor_are_refused() -> None:
    network = residual_network()
    again = replace(network.outputs[0], name="again")
    with pytest.raises(ModelError, match="'again' is the tensor layer4, which another input or"):
        replace(network, outputs=(*network.outputs, again))


def test_a_port_survives_json() -> None:
    (port,) = residual_network().inputs
    assert Port.of_json(port.as_json()) == port


def test_the_interpreter_returns_every_tensor() -> None:
    network = residual_network()
    image = np.zeros((1, 8, 8, 32), np.uint8)
    tensors = interpret(network, {"input": image})
    assert set(tensors) == {"input", *(layer.name for layer in network.layers)}
    np.testing.assert_array_equal(
        tensors["layer2"], network.layers[2].workload.reference(tensors["layer1"])
    )


def test_equal_layers_are_one_task() -> None:
    builder = Builder((1, 4, 4, 32))
    same = convolution(4, (32, 32), act="relu")
    first = builder.add(same, "input")
    other = builder.add(convolution(4, (32, 32), 3, act="relu"), first)
    tasks = tasks_of(builder.network(builder.add(same, other)))
    assert [(task.layers, task.count) for task in tasks] == [
        (("layer0", "layer2"), 2), (("layer1",), 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("trials", "top", "expected"),
    [(10, None, [24, 6, 1]), (10, 2, [16, 4]), (1, None, [2, 1, 1]), (1, 1, [1])],
)
def test_trials_are_spread_by_weight(trials: int, top: int | None, expected: list[int]) -> None:
    heavy, light, least = (parse_workload(convolution(4, (32, 32 * n))) for n in (1, 2, 3))
    shares = spread({light: 20.0, heavy: 80.0, least: 0.1}, trials, top)
    assert list(shares) == [heavy, light, least][: len(expected)]
    assert list(shares.values()) == expected
