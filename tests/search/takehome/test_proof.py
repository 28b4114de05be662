import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from data import DataSource, ImageData, open_data
from pruning import evaluate
from search.console import Console
from search.errors import MismatchError
from search.takehome.programs import INT8, ONNX
from search.takehome.proof import NETWORK, hold_to_network, prove, prove_on_noise
from tests.search.landscape import stage_of

QUIET = Console(io.StringIO())


def brightness(images: Tensor) -> Tensor:
    """Logits of ten classes by how bright some of the rows are."""
    return 10 * images.mean((1, 3))[:, :10]


def off(images: Tensor) -> Tensor:
    return brightness(images) + 0.01


@pytest.fixture
def data(packs: Path, monkeypatch: pytest.MonkeyPatch) -> ImageData:
    monkeypatch.setenv("XDG_CACHE_HOME", str(packs))
    return open_data(DataSource(data="digits", image_size=16))


def test_accuracies_are_those_of_evaluation(data: ImageData) -> None:
    proof = prove({NETWORK: brightness, ONNX: brightness}, None, data, QUIET)

    class Net(torch.nn.Module):
        forward = staticmethod(brightness)

    for name in (NETWORK, ONNX):
        assert proof.accuracies[name] == {
            "validation": evaluate(Net(), data.validation, 16).accuracy,
            "test": evaluate(Net(), data.test, 16).accuracy,
        }
    for pixels, said in zip(proof.samples, proof.logits[ONNX], strict=True):
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
        torch.testing.assert_close(brightness(image)[0], said)


def test_a_program_that_does_something_else_is_found(data: ImageData) -> None:
    with pytest.raises(MismatchError, match=r"model\.onnx does not compute"):
        prove({NETWORK: brightness, ONNX: off}, None, data, QUIET)
    with pytest.raises(MismatchError, match=r"model\.onnx does not compute"):
        prove_on_noise({NETWORK: brightness, ONNX: off}, 16)
    prove({NETWORK: brightness, INT8: off}, None, data, QUIET)
    prove_on_noise({NETWORK: brightness, INT8: off}, 16)


def test_rounding_may_decide_between_equals_only() -> None:
    network = torch.tensor([[1.0, 1.0 + 1e-5, 0.0], [2.0, 1.0, 0.0]])
    hold_to_network("it", network, network)
    hold_to_network("it", network + torch.tensor([[2e-5, 0.0, 0.0], [0.0] * 3]), network)
    for wrong in (network.flip(1), network + float("nan"), network * 1.01):
        with pytest.raises(MismatchError):
            hold_to_network("it", wrong, network)


@pytest.mark.parametrize("split", ["val_accuracy", "test_accuracy"])
def test_a_network_that_is_not_what_its_search_says_is_found(data: ImageData, split: str) -> None:
    found = prove({NETWORK: brightness}, None, data, QUIET).accuracies[NETWORK]
    stage = replace(stage_of(()), val_accuracy=found["validation"], test_accuracy=found["test"])
    prove({NETWORK: brightness}, stage, data, QUIET)
    wrong = replace(stage, **{split: getattr(stage, split) + 0.1})
    with pytest.raises(MismatchError, match="when it was made"):
        prove({NETWORK: brightness}, wrong, data, QUIET)


def test_without_labels_there_is_no_accuracy(data: ImageData) -> None:
    test = replace(data.test, labels=torch.full_like(data.test.labels, -1))
    proof = prove({NETWORK: brightness}, None, replace(data, test=test), QUIET)
    assert proof.accuracies[NETWORK].keys() == {"validation"}
    assert prove_on_noise({NETWORK: brightness}, 16).accuracies == {}
