from pathlib import Path

import pytest
import torch
from torch import nn

from experiments.speed.convolutions import Convolutions, measure, pieces
from models import StudentNet


def test_every_convolution_is_there_with_maps_of_its_size() -> None:
    net = StudentNet(num_classes=11)
    found = pieces(net, torch.rand(2, 3, 32, 32))
    layers = [layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    assert [piece.layer for piece in found] == layers
    assert found[0].images.shape == (2, 3, 32, 32)
    assert found[0].gradient.shape == (2, 16, 32, 32)
    assert found[-2].gradient.shape == (2, 256, 2, 2)
    assert found[-1].gradient.shape == (2, 11)


def test_all_gradients_but_that_of_the_images_are_worked_out() -> None:
    net = StudentNet(num_classes=11)
    first, *others = pieces(net, torch.rand(2, 3, 16, 16))
    for piece in (first, *others):
        piece()
        assert all(tensor.grad is not None for tensor in piece.layer.parameters())
    assert first.images.grad is None
    assert all(piece.images.grad is not None for piece in others)


def test_three_lines_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    step, share, speed = measure(Convolutions(sizes=(16,), repeats=1), 16, tmp_path / "16")
    assert step.startswith("16 px: a step takes ")
    assert share.startswith("    share: ")
    assert "GFLOP/s" in speed


@pytest.mark.parametrize("wrong", [{"sizes": (8,)}, {"repeats": 0}, {"images": 40}])
def test_what_cannot_be_measured_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"at least|multiple"):
        Convolutions(**wrong)  # type: ignore[arg-type]
