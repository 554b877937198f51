"""ResNet-50 from its ONNX file to the simulator, with the records that ship."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tuned import V68
from vrmpy_tune.model.compile import NetworkReport, compile_network
from vrmpy_tune.model.compiled import CompiledModel, ModelRun
from vrmpy_tune.model.opening import open_model
from vrmpy_tune.model.zoo import resnet50
from vrmpy_tune.model.zoo.inputs import inputs
from vrmpy_tune.model.zoo.models import ZOO
from vrmpy_tune.records.shipped import shipped_records
from vrmpy_tune.toolchain.assembly import count_multiplies

pytestmark = [pytest.mark.device, pytest.mark.slow]

MOST_PACKETS = 24_000_000
MOST_OF_OTHER_OPERATORS = 0.08
MOST_ON_THE_CRITICAL_PATH = 0.30


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> NetworkReport:
    network, source = open_model(resnet50())
    report = compile_network(
        network,
        target=V68,
        records=[str(shipped_records())],
        output=tmp_path_factory.mktemp("resnet50") / "net",
        source=source,
    )
    seconds = {name: round(value, 1) for name, value in report.seconds.items()}
    print(f"\ncompiled in {seconds['all']} s: {seconds}")
    return report


@pytest.fixture(scope="module")
def runs(report: NetworkReport) -> dict[str, ModelRun]:
    """Run the ten inputs, each verified bit for bit against the interpreter."""
    model = CompiledModel(report.artifact)
    (port,) = model.inputs
    prepare = ZOO["resnet50"].prepare
    return {
        name: model.profile({port.name: prepare(pixels[None])}, verify=True, source=name)
        for name, pixels in inputs(port.shape[-1]).items()
    }


def test_every_convolution_and_dense_is_tensorized(report: NetworkReport) -> None:
    assert report.tensorized == {"conv2d": [53, 53], "dense": [1, 1]}
    manifest = CompiledModel(report.artifact).manifest
    assert manifest["tensorized"] == report.tensorized
    counted = {"conv2d": 0, "dense": 0}
    for number, kernel in enumerate(manifest["kernels"]):
        operator = kernel["workload"].partition(":")[0]
        assembly = Path(report.artifact / f"kernels/{number}.s").read_text()
        if operator in counted and count_multiplies(assembly) > 0:
            counted[operator] += kernel["count"]
    assert counted == {"conv2d": 53, "dense": 1}


def test_ten_inputs_equal_the_interpreter_and_differ_from_one_another(
    runs: dict[str, ModelRun],
) -> None:
    assert len(runs) == 10
    assert all(run.verified for run in runs.values())
    logits = [next(iter(run.outputs.values())) for run in runs.values()]
    assert len({array.tobytes() for array in logits}) == 10
    assert all(len(np.unique(array)) > 10 for array in logits)


def test_packets_are_within_the_bars(runs: dict[str, ModelRun]) -> None:
    for name, run in runs.items():
        total, critical = run.counts.packets_total, run.counts.packets_critical
        others = sum(
            layer.packets_total
            for layer in run.layers
            if layer.workload.operator not in ("conv2d", "dense")
        )
        print(
            f"\n{name}: {total:,} packets, {critical / total:.2%} on the critical path, "
            f"{others / total:.3%} in other operators",
            end="",
        )
        assert total <= MOST_PACKETS
        assert critical <= MOST_ON_THE_CRITICAL_PATH * total
        assert others < MOST_OF_OTHER_OPERATORS * total
