"""TFLite files become the networks that TFLite's own interpreter runs, or are refused in words."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.model.damage import refusals
from tests.model.tflite_models import (
    INPUT,
    NONE,
    RELU,
    RELU6,
    SAME,
    SPREAD,
    VALID,
    WANTED,
    Handle,
    TfliteWriter,
    compared,
    differences,
    interpreted,
)
from vrmpy_tune.cli.application import run
from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.compiled import CompiledModel
from vrmpy_tune.model.edge import quantized
from vrmpy_tune.model.frontend.tflite_operators import REMEDIES
from vrmpy_tune.model.network import network_of
from vrmpy_tune.model.opening import open_model
from vrmpy_tune.model.reference import interpret
from vrmpy_tune.model.tflite_import import import_tflite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vrmpy_tune.model.network import Network

Build = "Callable[[TfliteWriter, Handle], Handle]"
SHAPE = (1, 9, 7, 5)


def written(
    path: Path, build: Callable[[TfliteWriter, Handle], Handle], shape: tuple[int, ...] = SHAPE,
    dtype: str = "int8",
) -> Path:  # fmt: skip
    writer = TfliteWriter(dtype=dtype)
    source = writer.input(shape, zero_point=-5 if dtype == "int8" else 120)
    return writer.write(path, [source], [build(writer, source)])


def imported(
    tmp_path: Path, build: Callable[[TfliteWriter, Handle], Handle], shape: tuple[int, ...] = SHAPE
) -> Network:
    return compared(written(tmp_path / "model.tflite", build, shape), shape)


def texts(network: Network) -> list[str]:
    return [str(layer.workload) for layer in network.layers]


def refused(path: Path, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        import_tflite(path)
    assert caught.value.exit_code == 13
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("channels", [1, 3, 7, 31, 32, 33, 129])
def test_convolutions_of_any_number_of_channels(tmp_path: Path, channels: int) -> None:
    network = imported(
        tmp_path, lambda w, x: w.conv("conv", x, channels), (1, 5, 4, max(1, channels // 2))
    )
    (text,) = texts(network)
    outputs = f"co={channels}" if channels > 1 else "depthwise_conv2d:n=1,h=5,w=4,c=1"
    assert outputs in text
    assert "kh=3,kw=3,stride=1,pad=1" in text


@pytest.mark.parametrize("channels", [1, 3, 31, 33])
def test_depthwise_convolutions(tmp_path: Path, channels: int) -> None:
    network = imported(
        tmp_path,
        lambda w, x: w.conv("conv", x, channels, stride=(2, 2), depthwise=True, activation=RELU6),
        (1, 9, 7, channels),
    )
    (text,) = texts(network)
    # One channel is no more depthwise than it is not.
    assert text.startswith("depthwise_conv2d:") or channels == 1
    assert ",act=" in text


def test_a_depthwise_convolution_with_one_scale(tmp_path: Path) -> None:
    build = lambda w, x: w.conv("conv", x, 5, depthwise=True, per_channel=False)  # noqa: E731
    assert "requant=tensor" in texts(imported(tmp_path, build))[0]


def test_a_depthwise_convolution_with_several_outputs_of_a_channel(tmp_path: Path) -> None:
    network = imported(tmp_path, lambda w, x: w.conv("conv", x, 15, depthwise=True))
    assert "ci=5,co=15" in texts(network)[0]
    assert "groups=5" in texts(network)[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"padding": VALID, "stride": (2, 1)}, "stride=2x1,pad=0"),
        # Of an odd number of rows and columns more stand below and right.
        ({"kernel": (2, 4), "padding": SAME}, "kh=2,kw=4,stride=1,pad=0x1x1x2"),
        ({"stride": (2, 2), "kernel": (3, 3)}, "stride=2,pad=1"),
        ({"dilation": (2, 2)}, "pad=2,dilation=2"),
        ({"per_channel": False}, "requant=tensor"),
        ({"activation": RELU}, "act=relu"),
        ({"activation": RELU6}, "act=relu"),
    ],
)
def test_options_of_convolutions(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    (text,) = texts(imported(tmp_path, lambda w, x: w.conv("conv", x, 7, **options)))
    assert words in text


def test_a_grouped_convolution(tmp_path: Path) -> None:
    build = lambda w, x: w.conv("conv", x, 9, groups=3)  # noqa: E731
    assert "groups=3" in texts(imported(tmp_path, build, (1, 5, 4, 6)))[0]


@pytest.mark.parametrize("shape", [(1, 33), (3, 7), (1, 1, 1, 31), (1, 3, 2, 5)])
@pytest.mark.parametrize("per_channel", [False, True])
def test_matrix_products_take_images_in_their_order(
    tmp_path: Path, shape: tuple[int, ...], *, per_channel: bool
) -> None:
    network = imported(
        tmp_path, lambda w, x: w.dense("dense", x, 11, per_channel=per_channel), shape
    )
    (text,) = texts(network)
    assert f"m={shape[0]},n=11,k={prod(shape[1:])}" in text


def test_a_matrix_product_without_a_bias(tmp_path: Path) -> None:
    network = imported(tmp_path, lambda w, x: w.dense("dense", x, 11, bias=False), (1, 33))
    assert "bias=1" in texts(network)[0], "the zero point of the activations is folded into one"


def test_additions_and_concatenations_of_different_scales(tmp_path: Path) -> None:
    def build(w: TfliteWriter, x: Handle) -> Handle:
        lhs, rhs = w.conv("lhs", x, 7, (1, 1)), w.conv("rhs", x, 7)
        return w.concat("joined", [w.add("sum", lhs, rhs, RELU), rhs, lhs], 3)

    network = imported(tmp_path, build)
    assert [layer.workload.operator for layer in network.layers].count("concat") == 1


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_concatenations_along_any_axis(tmp_path: Path, axis: int) -> None:
    def build(w: TfliteWriter, x: Handle) -> Handle:
        return w.concat("joined", [x, w.conv("conv", x, 5)], axis)

    assert imported(tmp_path, build).layers[-1].workload.operator == "concat"


def test_products_and_activations_of_their_own(tmp_path: Path) -> None:
    def build(w: TfliteWriter, x: Handle) -> Handle:
        conv = w.conv("conv", x, 5)
        product = w.output("product", x.shape, x.scale * conv.scale * 40)
        w.operator("MUL", [x, conv], product, "MulOptions", fusedActivationFunction=NONE)
        return w.operator("RELU", [product], w.output("last", x.shape, product.scale / 2, -128))

    network = imported(tmp_path, build)
    assert "multiply" in [layer.workload.operator for layer in network.layers]


@pytest.mark.parametrize("kind", ["SQUEEZE", "RESHAPE"])
def test_dimensions_of_one_pixel_come_and_go(tmp_path: Path, kind: str) -> None:
    def build(w: TfliteWriter, x: Handle) -> Handle:
        mean = w.mean("mean", x, keep=True)
        if kind == "RESHAPE":
            flat = w.reshape("flat", mean, (1, 5))
        else:
            result = w.same("flat", mean, (1, 5))
            flat = w.operator(kind, [mean], result, "SqueezeOptions", squeezeDims=[1, 2])
        pixel = w.reshape("pixel", flat, (1, 1, 1, 5))
        return w.conv("conv", pixel, 7, (1, 1))

    assert [layer.name for layer in imported(tmp_path, build).layers] == ["mean", "conv"]


def test_tensors_may_have_the_names_that_are_given_to_new_ones(tmp_path: Path) -> None:
    def build(w: TfliteWriter, x: Handle) -> Handle:
        for number in range(20):
            x = w.conv(f"conv/{number}" if number else "conv", x, 3, (1, 1))
        return x

    assert len(imported(tmp_path, build).layers) == 20


@pytest.mark.parametrize("kind", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize("padding", [SAME, VALID])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2)])
def test_pools(tmp_path: Path, kind: str, padding: int, stride: tuple[int, int]) -> None:
    def build(w: TfliteWriter, x: Handle) -> Handle:
        return w.pool(kind, "pool", x, (3, 2), stride=stride, padding=padding, activation=RELU)

    assert "pool2d" in texts(imported(tmp_path, build))[0]


@pytest.mark.parametrize("keep", [False, True])
def test_means_over_all_pixels(tmp_path: Path, *, keep: bool) -> None:
    network = imported(tmp_path, lambda w, x: w.mean("mean", x, keep=keep))
    assert texts(network) == ["global_avg_pool2d:n=1,h=9,w=7,c=5,dtype=u8"]
    assert network.outputs[0].shape == ((1, 1, 1, 5) if keep else (1, 5))


def test_a_reshape_keeps_the_order_of_elements_and_is_no_layer(tmp_path: Path) -> None:
    def build(w: TfliteWriter, x: Handle) -> Handle:
        conv = w.conv("conv", x, 3)
        return w.dense("dense", w.reshape("flat", conv, (1, prod(conv.shape))), 7)

    assert [layer.name for layer in imported(tmp_path, build).layers] == ["conv", "dense"]


def test_padding_becomes_part_of_the_convolution_behind(tmp_path: Path) -> None:
    def build(w: TfliteWriter, x: Handle) -> Handle:
        padded = w.pad("padded", x, [[0, 0], [0, 1], [2, 1], [0, 0]])
        return w.conv("conv", padded, 7, stride=(2, 2), padding=VALID)

    (text,) = texts(imported(tmp_path, build))
    assert "pad=0x2x1x1" in text


def test_quantization_at_the_edges_is_done_on_the_host(tmp_path: Path) -> None:
    writer = TfliteWriter()
    image = writer.tensor(INPUT, SHAPE, "float32")
    entry = writer.tensor("quantized", SHAPE, scale=0.02, zero_point=-5)
    conv = writer.conv("conv", writer.operator("QUANTIZE", [image], entry), 7)
    again = writer.output("again", conv.shape, conv.scale * 2, -9)
    writer.operator("QUANTIZE", [conv], again)
    last = writer.tensor("logits", conv.shape, "float32")
    writer.operator("DEQUANTIZE", [again], last)
    path = writer.write(tmp_path / "model.tflite", [image], [last])
    values = np.random.default_rng(0).normal(0, 1, SHAPE).astype(np.float32)
    assert max(differences(path, values).values()) <= 1
    network = network_of(import_tflite(path))
    (port,), (result,) = network.inputs, network.outputs
    assert (port.name, port.shape, port.dtype, port.layout) == (INPUT, SHAPE, "float32", "nhwc")
    assert (result.name, result.shape, result.dtype) == ("logits", (1, 9, 7, 7), "float32")
    known = interpreted(path, values)
    np.testing.assert_array_equal(quantized(port, values), known["quantized"])


def test_unsigned_pictures_into_a_signed_network_cost_no_layer(tmp_path: Path) -> None:
    writer = TfliteWriter()
    image = writer.tensor(INPUT, SHAPE, "uint8", scale=0.02, zero_point=123)
    entry = writer.tensor("entry", SHAPE, scale=0.02, zero_point=-5)
    conv = writer.conv("conv", writer.operator("QUANTIZE", [image], entry), 7)
    last = writer.tensor("last", conv.shape, "uint8", scale=conv.scale, zero_point=131)
    writer.operator("QUANTIZE", [conv], last)
    path = writer.write(tmp_path / "model.tflite", [image], [last])
    network = compared(path, SHAPE, "uint8")
    assert [layer.name for layer in network.layers] == ["conv"]
    assert [port.dtype for port in (*network.inputs, *network.outputs)] == ["uint8", "uint8"]


def test_unsigned_models_whose_weights_have_a_zero_point(tmp_path: Path) -> None:
    writer = TfliteWriter(dtype="uint8")
    source = writer.input(SHAPE, zero_point=120)
    values = writer.generator.integers(0, 256, (7, 3, 3, 5)).astype(np.uint8)
    weights = writer.tensor("weights", values.shape, scale=0.01, zero_point=117, values=values)
    bias = writer.bias("bias", source, np.asarray([0.01]), 7)
    result = writer.tensor("conv", (*SHAPE[:3], 7), scale=0.16, zero_point=130)
    options = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    writer.operator("CONV_2D", [source, weights, bias], result, "Conv2DOptions", **options)
    path = writer.write(tmp_path / "model.tflite", [source], [result])
    (port,) = compared(path, SHAPE, "uint8").inputs
    assert (port.dtype, port.zero_point) == ("uint8", 120)


def mobile(writer: TfliteWriter, image: Handle) -> Handle:
    """Two inverted residuals as MobileNetV2 has them, of odd numbers of channels."""
    at = writer.conv("stem", image, 13, stride=(2, 2), activation=RELU6)
    for block, (outputs, stride) in enumerate([(7, 1), (7, 1), (11, 2)]):
        wide = writer.conv(f"block{block}/expand", at, 33, (1, 1), activation=RELU6)
        if stride == 2:
            wide = writer.pad(f"block{block}/pad", wide, [[0, 0], [0, 1], [0, 1], [0, 0]])
        padding = VALID if stride == 2 else SAME
        deep = writer.conv(
            f"block{block}/depthwise", wide, 33, stride=(stride, stride), padding=padding,
            activation=RELU6, depthwise=True,
        )  # fmt: skip
        narrow = writer.conv(f"block{block}/project", deep, outputs, (1, 1))
        at = writer.add(f"block{block}/add", narrow, at) if narrow.shape == at.shape else narrow
    return writer.dense("classifier", writer.mean("pool", at), 10, activation=NONE)


@pytest.mark.device
@pytest.mark.slow
def test_a_small_mobilenet_is_compiled_and_run_bit_for_bit(tmp_path: Path) -> None:
    shape = (1, 17, 15, 3)
    path = written(tmp_path / "mobile.tflite", mobile, shape)
    network = compared(path, shape)
    assert all(layer.workload.out == "u8" for layer in network.layers if "conv" in layer.name)
    assert run(["compile", str(path), "-o", str(tmp_path / "net"), "--records", "records/"]) == 0
    model = CompiledModel(tmp_path / "net")
    assert model.manifest["model"]["file"] == "mobile.tflite"
    (port,), (result,) = network.inputs, network.outputs
    outputs = []
    for seed in range(3):
        image = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
        found = model.run(image=image)
        expected = interpret(network, {port.tensor: quantized(port, image)})[result.tensor]
        np.testing.assert_array_equal(found, (expected.astype(np.int16) - 128).astype(np.int8))
        theirs = interpreted(path, image)["classifier"]
        # Rounding differs by a unit here and there, and adds up over eleven layers.
        assert np.abs(expected.astype(int) - theirs).max() <= 4
        outputs.append(found)
    assert not np.array_equal(outputs[0], outputs[1])


def test_models_are_opened_by_the_end_of_their_name(tmp_path: Path) -> None:
    path = written(tmp_path / "Model.TFLITE", lambda w, x: w.conv("conv", x, 7))
    network, says = open_model(path)
    assert [layer.name for layer in network.layers] == ["conv"]
    assert says["file"] == "Model.TFLITE"


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    def build(w: TfliteWriter, x: Handle) -> Handle:
        return w.dense("dense", w.mean("mean", w.conv("conv", x, 7)), 3)

    return written(tmp_path / "model.tflite", build)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "none.tflite", "does not exist; name a TFLite file")


def test_an_empty_file(sound: Path) -> None:
    sound.write_bytes(b"")
    refused(sound, "is empty; convert the model again")


def test_another_kind_of_file(sound: Path) -> None:
    sound.write_bytes(b"PK\x03\x04 no model")
    refused(sound, "is not a TFLite model: .* another kind of file")


def test_a_truncated_file_is_refused_wherever_it_is_cut(sound: Path) -> None:
    whole = sound.read_bytes()
    for size in range(1, len(whole) - 4, max(1, len(whole) // 150)):
        sound.write_bytes(whole[:size])
        refused(sound, "cut short|another kind|damaged")


def test_whatever_is_damaged_the_refusal_is_a_sentence(sound: Path) -> None:
    assert refusals(sound, import_tflite, 150, first=8) > 20


def test_a_float_model(tmp_path: Path) -> None:
    writer = TfliteWriter(dtype="float32")
    source, result = writer.tensor(INPUT, SHAPE), writer.tensor("sum", SHAPE)
    writer.operator("ADD", [source, source], result, "AddOptions")
    path = writer.write(tmp_path / "model.tflite", [source], [result])
    refused(path, "is a float model, or only its weights are quantized; convert it with full")


def test_dynamic_shapes(sound: Path, tmp_path: Path) -> None:
    writer = TfliteWriter()
    source = writer.input(SHAPE)
    writer.graph.tensors[0].shapeSignature = [1, -1, -1, 5]
    result = writer.conv("conv", source, 7)
    path = writer.write(tmp_path / "dynamic.tflite", [source], [result])
    refused(path, rf"the tensor '{INPUT}' has the shape \[1 x \? x \? x 5\]; shapes must be static")
    # Converters leave the batch open, and TFLite takes it as 1.
    writer.graph.tensors[0].shapeSignature = [-1, *SHAPE[1:]]
    path = writer.write(tmp_path / "batch.tflite", [source], [result])
    assert network_of(import_tflite(path)).inputs[0].shape == SHAPE


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [("LOG_SOFTMAX", "cut the model before it"), ("HARD_SWISH", "train it with RELU6"),
     ("TANH", "it would need a workload")],
)  # fmt: skip
def test_an_unsupported_operator_is_named_with_its_tensor_and_what_would_help(
    tmp_path: Path, kind: str, remedy: str
) -> None:
    def build(w: TfliteWriter, x: Handle) -> Handle:
        return w.operator(kind, [w.conv("conv", x, 7)], w.output("the/last", (1, 9, 7, 7), 0.1))

    path = written(tmp_path / "model.tflite", build)
    refused(
        path, f"operator {kind} that makes the tensor 'the/last' has no integer kernel: {remedy}"
    )


def test_a_custom_operator_is_named(tmp_path: Path) -> None:
    writer = TfliteWriter()
    source = writer.input(SHAPE)
    result = writer.operator("CUSTOM", [source], writer.output("boxes", SHAPE, 0.1))
    writer.model.operatorCodes[0].customCode = "Detect"
    path = writer.write(tmp_path / "model.tflite", [source], [result])
    refused(path, r"operator CUSTOM \(Detect\) that makes the tensor 'boxes'")


def test_padding_before_anything_else_is_refused(tmp_path: Path) -> None:
    def build(w: TfliteWriter, x: Handle) -> Handle:
        padded = w.pad("padded", x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        return w.pool("MAX_POOL_2D", "pool", padded, (2, 2), padding=VALID)

    path = written(tmp_path / "model.tflite", build)
    refused(path, "operator PAD that makes the tensor 'padded' is supported before convolutions")


@pytest.mark.parametrize("kind", ["RESHAPE", "PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize(("factor", "shift"), [(2, 0), (1, 3)])
def test_copies_to_another_quantization_are_refused(
    tmp_path: Path, kind: str, factor: float, shift: int
) -> None:
    def build(w: TfliteWriter, x: Handle) -> Handle:
        if kind == "RESHAPE":
            made = w.reshape("copy", x, (1, prod(x.shape)))
        elif kind == "PAD":
            made = w.pad("copy", x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        else:
            made = w.pool(kind, "copy", x, (2, 2))
        quantization = w.graph.tensors[made.index].quantization
        quantization.scale = [quantization.scale[0] * factor]
        quantization.zeroPoint = [quantization.zeroPoint[0] + shift]
        return w.conv("conv", made, 3, padding=VALID) if kind == "PAD" else made

    path = written(tmp_path / "model.tflite", build)
    refused(path, f"{kind} that makes the tensor 'copy' has another quantization than the tensor")


def test_wide_activations_are_refused_by_their_tensor(tmp_path: Path) -> None:
    def build(w: TfliteWriter, x: Handle) -> Handle:
        conv = w.conv("conv", x, 7)
        wide = w.tensor("wide", conv.shape, "int16", scale=0.01)
        return w.operator("QUANTIZE", [conv], wide)

    path = written(tmp_path / "model.tflite", build)
    refused(path, "input or output 'wide' has the type int16; only float32, int8, uint8")

    def further(w: TfliteWriter, x: Handle) -> Handle:
        return w.operator("QUANTIZE", [build(w, x)], w.output("last", (1, 9, 7, 7), 0.1))

    path = written(tmp_path / "model.tflite", further)
    refused(path, "a tensor of type int16, 'wide', that is not quantized to 8 bits")


def test_a_constant_where_an_activation_belongs(tmp_path: Path) -> None:
    def build(w: TfliteWriter, x: Handle) -> Handle:
        values = np.ones(SHAPE, np.int8)
        constant = w.tensor("ones", SHAPE, scale=0.1, values=values)
        return w.add("sum", x, constant)

    path = written(tmp_path / "model.tflite", build)
    refused(path, "operator ADD that makes the tensor 'sum' takes a constant")


def test_an_activation_without_a_kernel_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "m.tflite", lambda w, x: w.conv("conv", x, 7, activation=4))
    refused(path, "CONV_2D that makes the tensor 'conv' has activation 4 fused into it")


def test_control_flow_is_refused(tmp_path: Path) -> None:
    writer = TfliteWriter()
    source = writer.input(SHAPE)
    result = writer.conv("conv", source, 7)
    writer.model.subgraphs.append(writer.graph)
    path = writer.write(tmp_path / "model.tflite", [source], [result])
    refused(path, "has 2 subgraphs; only models without control flow")


def test_what_is_supported_needs_no_remedy() -> None:
    from vrmpy_tune.model.frontend.tflite_operators import _WRITERS

    assert not set(REMEDIES) & set(_WRITERS)


@pytest.mark.parametrize("size", [(1, 1), (3, 5)])
@pytest.mark.parametrize("per_channel", [False, True])
def test_a_matrix_product_of_every_pixel(
    tmp_path: Path, size: tuple[int, int], *, per_channel: bool
) -> None:
    def build(w: TfliteWriter, x: Handle) -> Handle:
        spread = x.scale * 0.01 * SPREAD * SPREAD * np.sqrt(31) / WANTED
        result = w.output("dense", (1, *size, 11), float(spread))
        weights, scale = w.weights("weights", [11, 31], 0, per_channel=per_channel)
        inputs = [x, weights, w.bias("bias", x, scale, 11)]
        return w.operator(
            "FULLY_CONNECTED", inputs, result, "FullyConnectedOptions", keepNumDims=True
        )

    assert len(texts(imported(tmp_path, build, (1, *size, 31)))) == 1
