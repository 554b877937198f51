"""From Python: a model's file compiled, run and tuned; the network behind it is made by hand."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

import vrmpy_tune as vt
from tests.model.networks import Builder, residual_network
from tests.tuned import V68
from vrmpy_tune.errors import UsageError
from vrmpy_tune.model import agreement, opening, tuning
from vrmpy_tune.model.edge import dequantized, quantized
from vrmpy_tune.model.network import Network
from vrmpy_tune.model.reference import interpret
from vrmpy_tune.suites.quantized import classifier

pytestmark = pytest.mark.device

SHARED = classifier(16, 32)
OWN = classifier(32, 8)


def chain(*texts: str) -> Network:
    builder = Builder((1, 16))
    at = "input"
    for text in texts:
        at = builder.add(text, at)
    return builder.network(at)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, Network]:
    """Networks by the name of the file that is opened as one."""
    found: dict[str, Network] = {}

    def open_model(path: Path) -> tuple[Network, dict[str, str]]:
        return found[path.name], {"file": path.name, "sha256": "00"}

    monkeypatch.setattr(opening, "open_model", open_model)
    monkeypatch.setattr(tuning, "open_model", open_model)
    monkeypatch.setattr(agreement, "compare_with_runtime", lambda *_: agreement.NOT_ASKED)
    return found


def test_a_model_compiled_without_a_directory_runs_as_long_as_it_lives(
    opened: dict[str, Network],
) -> None:
    network = opened["model.onnx"] = residual_network()
    model = vt.compile("model.onnx", records=[])
    directory = model.directory
    image = np.random.default_rng(0).normal(0, 2, (1, 8, 8, 32)).astype(np.float32)
    (port,), (result,) = network.inputs, network.outputs
    expected = interpret(network, {"input": quantized(port, image)})[result.tensor]
    np.testing.assert_array_equal(model.run(image=image), dequantized(result, expected))
    assert model.manifest["model"] == {"file": "model.onnx", "sha256": "00"}
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    assert not directory.exists()


def test_kernels_need_a_directory() -> None:
    with pytest.raises(UsageError, match="output="):
        vt.compile(SHARED)  # type: ignore[call-overload]


def test_a_second_model_takes_the_records_of_the_layers_that_it_shares(
    opened: dict[str, Network], tmp_path: Path
) -> None:
    opened["first.onnx"], opened["second.onnx"] = chain(SHARED), chain(SHARED, OWN)
    store = str(tmp_path / "records.db")
    options = {"target": V68, "trials": 1, "effort": "quick", "records": store}
    (first,) = tuning.tune_model(Path("first.onnx"), **options)
    (again,) = tuning.tune_model(Path("first.onnx"), **options)
    assert (first.recalled, again.recalled, again.measured) == (0, 1, 1)
    # Without a device nothing can be measured.
    model = vt.compile("second.onnx", records=[store], device=None, output=tmp_path / "net")
    assert [(kernel["record"], kernel["status"]) for kernel in model.manifest["kernels"]] == [
        (first.best.id, "applied"), (None, "missing"),
    ]  # fmt: skip
    assert model.manifest["verified"] == []
    assert model.run({"image": np.ones((1, 16), np.float32)}).shape == (1, 8)
