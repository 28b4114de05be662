"""The notebook's side of the measurements does the same work as ours on the same pixels."""

from pathlib import Path

import numpy as np
import pytest
import torch

from data import DataSource, ImageData, open_data
from experiments.instruments.notebook_loop import (
    NotebookLoop,
    pictures,
    training_loader,
    validation_loader,
)
from models import StudentNet
from pruning import evaluate


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return open_data(DataSource(data="digits", image_size=16))


@pytest.fixture
def net() -> StudentNet:
    torch.manual_seed(0)
    return StudentNet(base=4, num_classes=10)


def test_pictures_have_the_split_s_pixels(digits: ImageData) -> None:
    rows = np.concatenate([np.asarray(image).reshape(-1, 3) for image in pictures(digits.train)])
    assert np.array_equal(rows, digits.train.pixels.numpy())


def test_its_validation_is_ours(digits: ImageData, net: StudentNet) -> None:
    """The same loss and accuracy, from centre crops and a network in evaluation mode."""
    loss, accuracy = NotebookLoop.of(net, torch.device("cpu")).validate(validation_loader(digits))
    ours = evaluate(net, digits.validation, 16)
    assert loss == pytest.approx(ours.loss, rel=1e-5)
    assert accuracy == pytest.approx(ours.accuracy)


def test_only_training_moves_weights(digits: ImageData, net: StudentNet) -> None:
    loop = NotebookLoop.of(net, torch.device("cpu"))
    before = [weight.detach().clone() for weight in net.parameters()]
    loop.validate(validation_loader(digits))
    assert all(map(torch.equal, before, net.parameters()))
    first, _ = loop.train(training_loader(digits))
    assert not any(map(torch.equal, before, net.parameters()))
    second, _ = loop.train(training_loader(digits))
    assert second < first


def test_training_sees_every_image_once(digits: ImageData) -> None:
    labels = torch.cat([labels for _, labels in training_loader(digits)])
    assert not torch.equal(labels, digits.train.labels)
    assert torch.equal(labels.sort().values, digits.train.labels.sort().values)


def test_a_round_keeps_the_best_weights(
    digits: ImageData, net: StudentNet, tmp_path: Path
) -> None:
    loop = NotebookLoop.of(net, torch.device("cpu"))
    batches = validation_loader(digits)
    loop.run_round(training_loader(digits), batches, tmp_path / "best.bin", epochs=2)
    last = loop.validate(batches)[1]
    net.load_state_dict(torch.load(tmp_path / "best.bin", weights_only=True))
    assert loop.validate(batches)[1] >= last
