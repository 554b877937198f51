"""The zoo's models are what they say, and their layers are those that records were tuned for."""

from __future__ import annotations

import io
import pickle
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.comparison import (
    Reference,
    layer_differences,
    leaders_shared,
    output_difference,
)
from vrmpy_tune.model.edge import quantized
from vrmpy_tune.model.network import network_of
from vrmpy_tune.model.onnx_import import import_onnx, integer_module, normalized_model
from vrmpy_tune.model.reference import interpret
from vrmpy_tune.model.zoo import ZOO, mobilenet_v2, resnet50, small_residual
from vrmpy_tune.model.zoo.inputs import inputs
from vrmpy_tune.model.zoo.mobilenet import mobilenet_v2_float, normalized
from vrmpy_tune.model.zoo.pictures import PICTURES, picture
from vrmpy_tune.model.zoo.torch_file import MAGIC, read_tensors
from vrmpy_tune.suites import suite_called

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 224


def suite_texts(name: str) -> Counter[str]:
    members = suite_called(name).select(["int8"])
    return Counter({one.text: one.count for one in members})


def test_a_model_is_made_once() -> None:
    first = small_residual()
    changed = first.stat().st_mtime_ns
    assert small_residual() == first
    # Looking an entry up marks it as used, and rewrites nothing.
    assert first.stat().st_mtime_ns >= changed
    assert set(ZOO) == {"small-residual", "resnet26", "resnet50", "mobilenet-v2"}


def test_the_small_network_is_near_onnxruntime_layer_by_layer_and_whole() -> None:
    path = small_residual()
    model = normalized_model(path)
    network, plain = (network_of(integer_module(model, fuse=fuse)) for fuse in (True, False))
    reference = Reference(model)
    outputs = []
    for name in ("chelsea", "grass", "page"):
        feed = {"image": picture(name, 32)[None]}
        for layers in (plain, network):
            differences = layer_differences(layers, reference, feed)
            assert len(differences) == len(layers.layers)
            assert max(one.largest for one in differences) <= 1
        assert output_difference(network, reference, feed).unoptimized <= 4
        outputs.append(reference.outputs(feed, precise=False)[0])
    scale = network.outputs[0].scale
    assert all(
        np.abs(one - other).max() > 10 * scale
        for index, one in enumerate(outputs)
        for other in outputs[:index]
    )


def test_inputs_are_ten_and_differ() -> None:
    found = inputs(33)
    assert len(found) == 10
    for name, values in found.items():
        assert values.shape == (3, 33, 33)
        assert 0 <= values.min() <= values.max() <= 1
        assert not any(
            np.array_equal(values, other) for known, other in found.items() if known != name
        )


@pytest.mark.slow
def test_every_layer_of_resnet50_is_one_of_its_suite() -> None:
    network = network_of(import_onnx(resnet50()))
    assert Counter(str(one.workload) for one in network.layers) == suite_texts("resnet50-int8")


@pytest.mark.slow
def test_every_layer_of_mobilenet_is_one_of_its_suite_but_for_the_stem() -> None:
    network = network_of(import_onnx(mobilenet_v2()))
    texts = Counter(str(one.workload) for one in network.layers)
    suite = suite_texts("mobilenetv2-int8")
    (stem,) = texts - suite
    (expected,) = suite - texts
    assert stem == f"{expected},lzp={network.inputs[0].zero_point}"


def test_real_weights_know_what_pictures_show() -> None:
    import onnxruntime

    model, _ = mobilenet_v2_float(PICTURES[:1])
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    # ImageNet's classes: Egyptian cat, espresso.
    for name, label in (("chelsea", 285), ("coffee", 967)):
        values = normalized(picture(name, SIZE)[None])
        assert session.run(None, {"image": values})[0].argmax() == label


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chelsea", "coffee", "motorcycle_left", "camera"])
def test_the_first_class_of_a_picture_is_onnxruntimes(name: str) -> None:
    """Of pictures whose first class is further ahead than onnxruntime's two modes are apart."""
    model = normalized_model(mobilenet_v2())
    network, reference = network_of(integer_module(model)), Reference(model)
    feed = {"image": normalized(picture(name, SIZE)[None])}
    (port,), (result,) = network.inputs, network.outputs
    plain, precise = (
        quantized(result, reference.outputs(feed, precise=mode)[0]).astype(int).ravel()
        for mode in (False, True)
    )
    second, first = np.sort(plain)[-2:]
    assert first - second > np.abs(plain - precise).max()
    own = interpret(network, {port.tensor: quantized(port, feed[port.name])})[result.tensor]
    assert leaders_shared(own, plain, 1) == 1


@pytest.mark.parametrize(
    ("own", "shared"),
    [([9, 8, 7, 0, 0], 3), ([9, 8, 0, 7, 0], 3), ([9, 8, 0, 0, 7], 2), ([0, 0, 9, 8, 7], 2)],
)
def test_leaders_are_shared_up_to_ties(own: list[int], shared: int) -> None:
    reference = np.asarray([5, 4, 3, 3, 1])
    assert leaders_shared(np.asarray(own), reference, 3) == shared


@pytest.mark.parametrize("size", [32, 33, 224])
def test_pictures_have_three_channels_between_0_and_1(size: int) -> None:
    for name in PICTURES[:2]:
        pixels = picture(name, size)
        assert pixels.shape == (3, size, size)
        assert pixels.dtype == np.float32
        assert 0 <= pixels.min() < pixels.max() <= 1


class _Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("pickles can call anything",)


@pytest.mark.parametrize("content", ["hostile", "cut", "other"])
def test_a_file_of_weights_is_read_without_running_what_it_asks_for(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.BytesIO()
    for part in (MAGIC, 1001, {}, _Hostile()) if content == "hostile" else (MAGIC, 1001):
        pickle.dump(part, stream, protocol=2)
    path = tmp_path / "weights.pth"
    path.write_bytes(b"no pickle" if content == "other" else stream.getvalue())
    with pytest.raises(ModelError, match="not a file of PyTorch weights"):
        read_tensors(path)
    assert not capsys.readouterr().out
