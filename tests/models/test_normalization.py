import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from models import IMAGENET, Normalization, StudentNet, normalized


def by_hand(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(of).view(3, 1, 1) for of in (IMAGENET.mean, IMAGENET.std))
    return (images - mean) / std


@pytest.fixture
def bare() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 5)).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 8, 8)


def test_a_network_normalises_its_images_first(bare: nn.Module, images: Tensor) -> None:
    expected, names = bare(by_hand(images)), list(bare.state_dict())
    net = normalized(bare, IMAGENET)
    assert torch.allclose(net(images), expected, atol=1e-6)
    assert list(net.state_dict()) == names
    assert net.double()(images.double()).dtype == torch.float64


def test_nothing_is_done_without_a_normalisation(bare: nn.Module, images: Tensor) -> None:
    expected = bare(images)
    assert torch.equal(normalized(bare, None)(images), expected)


@pytest.mark.parametrize("strict", [False, True])
def test_exports_normalise(bare: nn.Module, images: Tensor, strict: bool) -> None:
    expected = bare(by_hand(images))
    program = torch.export.export(normalized(bare, IMAGENET), (images,), strict=strict)
    assert torch.allclose(program.module()(images), expected, atol=1e-6)


def test_copies_normalise(images: Tensor) -> None:
    net = normalized(StudentNet(base=4, num_classes=5).eval(), IMAGENET)
    wide = torch.rand(2, 3, 16, 16)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(other(wide), net(wide))


def test_it_is_shown_in_numbers() -> None:
    assert str(Normalization(mean=(0.5, 0.25, 0.0), std=(1.0, 0.5, 0.125))) == (
        "mean 0.5 0.25 0, standard deviation 1 0.5 0.125"
    )
