"""Suites: the networks' architecture, and the peers' shapes, as workloads."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from vrmpy_tune.errors import UsageError
from vrmpy_tune.suites import SUITES, Member, Suite, suite_called
from vrmpy_tune.suites.peer_rows import peer_rows, peer_workloads
from vrmpy_tune.suites.peers import VARIANTS, variant_called
from vrmpy_tune.workload import OPERATORS, Conv2d, parse_workload

RESNET50_MACS = 4_089_184_256
"""Of torchvision's resnet50 at 224 x 224: its published 4.09 G."""

MOBILENETV2_MACS = 300_774_272
"""Of torchvision's mobilenet_v2 at 224 x 224: its published 0.30 G."""


def operators(suite: Suite, variant: str | None = None) -> Counter[str]:
    counted: Counter[str] = Counter()
    for member in suite.select((variant,) if variant else ()):
        counted[member.text.partition(":")[0]] += member.count
    return counted


def contraction_macs(suite: Suite, variant: str) -> int:
    """Add up the multiply-accumulates, those of depthwise convolutions from their text."""
    total = 0
    for member in suite.select((variant,)):
        if member.text.startswith("depthwise_conv2d:"):
            size, channels, kernel, stride = (
                int(re.search(rf"[:,]{name}=(\d+)", member.text)[1])  # type: ignore[index]
                for name in ("h", "c", "kh", "stride")
            )
            total += member.count * (size // stride) ** 2 * channels * kernel**2
        elif member.text.startswith(("conv2d:", "dense:")):
            total += member.count * member.macs
    return total


@pytest.mark.parametrize("name", SUITES)
def test_every_member_of_a_known_operator_is_selected_with_its_canonical_text(name: str) -> None:
    for member in suite_called(name).select():
        if member.text.partition(":")[0] in OPERATORS:
            assert str(member.workload()) == member.text


@pytest.mark.parametrize("name", SUITES)
def test_no_workload_stands_twice_in_a_variant(name: str) -> None:
    suite = suite_called(name)
    assert len({(one.variant, one.text) for one in suite.members}) == len(suite.members)


def test_resnet50_has_53_convolutions_a_dense_and_two_poolings() -> None:
    suite = suite_called("resnet50-int8")
    assert operators(suite) == {
        "conv2d": 53,
        "dense": 1,
        "max_pool2d": 1,
        "global_avg_pool2d": 1,
    }
    assert contraction_macs(suite, "int8") == RESNET50_MACS


def test_resnet50_adds_a_residual_in_each_of_16_blocks_and_activates_all_but_shortcuts() -> None:
    convolutions = [
        (member, workload)
        for member in suite_called("resnet50-int8").members
        if isinstance(workload := _parsed(member), Conv2d)
    ]
    assert sum(m.count for m, w in convolutions if w.residual) == 16
    assert sum(m.count for m, w in convolutions if w.act == "none") == 4
    assert {(w.out, w.bias, w.requant, w.lhs, w.rhs) for _, w in convolutions} == {
        ("u8", 1, "channel", "u8", "i8")
    }


def test_mobilenetv2_has_52_convolutions_of_which_17_are_depthwise_and_10_additions() -> None:
    suite = suite_called("mobilenetv2-int8")
    assert operators(suite, "int8") == {
        "conv2d": 35,
        "depthwise_conv2d": 17,
        "dense": 1,
        "global_avg_pool2d": 1,
    }
    assert operators(suite, "adds") == {"add": 10}
    assert contraction_macs(suite, "int8") == MOBILENETV2_MACS


def test_bert_has_six_products_with_weights_and_24_of_attention_heads_in_each_layer() -> None:
    suite = suite_called("bert-base-int8")
    for variant in ("i32", "u8"):
        members = suite.select((variant,))
        assert sorted(one.count for one in members) == [12, 12, 48, 144, 144]
    shapes = {(w.m, w.n, w.k) for w in (_parsed(one) for one in suite.select(("i32",)))}
    assert shapes == {
        (128, 768, 768), (128, 3072, 768), (128, 768, 3072), (128, 128, 64), (128, 64, 128),
    }  # fmt: skip


def test_the_operators_are_one_of_each_kind() -> None:
    assert operators(suite_called("operators")) == {
        "depthwise_conv2d": 2,
        "add": 1,
        "max_pool2d": 1,
        "global_avg_pool2d": 1,
        "pad": 1,
    }


def test_the_peers_are_12_shapes_and_the_macs_are_those_of_the_unpadded_layers() -> None:
    assert len(peer_workloads()) == 12
    suite = suite_called("peers")
    for member in suite.members:
        assert member.macs == next(r.macs for r in peer_rows() if r.workload == member.layer)
    for variant in ("u8u8-i32", "u8i8-i32", "i8i8-i32", "u8u8-u8", "u8i8-u8-inside"):
        assert len(suite.select((variant,))) == 12
    for variant in ("u8u8-i32-inside", "u8i8-i32-inside", "u8u8-u8-inside"):
        assert len(suite.select((variant,))) == 5


def test_inputs_are_padded_outside_or_inside_as_the_variant_says() -> None:
    stem = "conv 224x224x3->64 k7 s2 p3"
    texts = {one.variant: one.text for one in suite_called("peers").members if one.layer == stem}
    outside = "conv2d:n=1,h=230,w=230,ci=4,co=64,kh=7,kw=7,stride=2,pad=0"
    inside = "conv2d:n=1,h=224,w=224,ci=3,co=64,kh=7,kw=7,stride=2,pad=3"
    assert texts["u8u8-i32"] == f"{outside},lhs=u8,rhs=u8"
    assert texts["u8u8-u8"] == f"{outside},lhs=u8,rhs=u8,out=u8,bias=1,requant=tensor"
    assert texts["u8u8-i32-inside"] == f"{inside},lhs=u8,rhs=u8"
    assert texts["u8i8-u8-inside"] == (
        f"{inside},lhs=u8,rhs=i8,out=u8,bias=1,requant=channel,act=relu"
    )


def test_like_is_compared_with_like() -> None:
    for variant in VARIANTS:
        beside = [peer for peer in peer_rows() if variant.may_compare(peer)]
        assert beside
        assert all(peer.correct for peer in beside)
        if variant.like:
            assert {(peer.lhs, peer.rhs) for peer in beside} == {(variant.lhs, variant.rhs)}
            assert {peer.out for peer in beside} == {variant.fused.get("out", "i32")}
            assert {peer.pads_inside for peer in beside} == {variant.pad_inside}
    assert variant_called("u8u8") is None


def test_every_peer_row_names_the_workload_it_is_a_figure_of() -> None:
    found = {(row.workload, row.system, row.lhs): row for row in peer_rows()}
    inside = found["conv 56x56x64->64 k3 s1 p1", "Halide 21, best tile, padding included", "u8"]
    assert str(inside.computes()) == (
        "conv2d:n=1,h=56,w=56,ci=64,co=64,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=u8"
    )
    shifted = next(row for row in peer_rows() if "filter zero point 128" in row.system)
    assert str(shifted.computes()).endswith("out=u8,bias=1,requant=tensor,rzp=128")
    newer = next(row for row in peer_rows() if "built for v73" in row.system)
    assert newer.version == 73


def test_the_peers_data_is_well_formed() -> None:
    import vrmpy_tune.suites

    path = Path(vrmpy_tune.suites.__file__).with_name("peers.csv")
    for row in csv.DictReader(path.read_text().splitlines()):
        assert float(row["macs_per_packet"]) == pytest.approx(
            int(row["macs"]) / int(row["packets"]), abs=0.006
        )


def test_a_name_that_does_not_exist_is_a_sentence_with_those_that_do() -> None:
    with pytest.raises(UsageError, match="There is no suite 'resnet'; use one of peers, "):
        suite_called("resnet")
    with pytest.raises(UsageError, match=r"no variant 'u8'; use one of u8u8-i32, "):
        suite_called("peers").select(("u8",))


def _parsed(member: Member) -> object:
    known = member.text.partition(":")[0] in OPERATORS
    return parse_workload(member.text) if known else None
