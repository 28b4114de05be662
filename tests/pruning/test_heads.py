"""Heads for another number of classes."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from models import NetworkError
from pruning import CheckpointError, read_weights, shapes_of, with_any_head, without_head

CLASSES = 5


@dataclass(frozen=True)
class Small:
    """Of a user's: `fixed` is one that is for one number of classes alone."""

    classes: int
    width: int = 8
    fixed: bool = False

    def build(self) -> nn.Module:
        if self.fixed and self.classes != CLASSES:
            raise NetworkError(f"for {CLASSES} classes alone")
        return nn.Sequential(
            nn.Conv2d(3, self.width, 3),
            nn.BatchNorm2d(self.width),
            nn.Flatten(),
            nn.Linear(self.width, self.classes),
        )


def read(path: Path, *, fixed: bool = False) -> dict[str, torch.Tensor]:
    like = shapes_of(Small(CLASSES))
    skeleton = with_any_head(like, CLASSES, lambda other: Small(other, fixed=fixed))
    weights = read_weights(path, like, skeleton, kind="small network")
    return dict(without_head(weights.tensors, like).tensors)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "small.pt"


def test_all_but_a_head_of_another_size_is_kept(path: Path) -> None:
    state = Small(1000).build().state_dict()
    torch.save(state, path)
    kept = read(path)
    assert state.keys() - kept.keys() == {"3.weight", "3.bias"}
    assert all(torch.equal(tensor, state[name]) for name, tensor in kept.items())


def test_a_head_that_fits_is_kept(path: Path) -> None:
    state = Small(CLASSES).build().state_dict()
    torch.save(state, path)
    assert read(path).keys() == state.keys()


def test_a_network_that_differs_elsewhere_is_refused(path: Path) -> None:
    torch.save(Small(1000, width=9).build().state_dict(), path)
    with pytest.raises(CheckpointError, match=r"0\.weight has shape \(9, 3, 3, 3\), expected \(8"):
        read(path)


def test_a_network_for_one_number_of_classes_keeps_its_head(path: Path) -> None:
    torch.save(Small(1000).build().state_dict(), path)
    with pytest.raises(CheckpointError, match=r"3\.weight has shape \(1000, 8\), expected \(5, 8"):
        read(path, fixed=True)


def test_the_network_that_fits_is_chosen_beside_one_of_the_same_names(path: Path) -> None:
    state = Small(CLASSES).build().state_dict()
    torch.save({"student": state, "teacher": Small(CLASSES, width=64).build().state_dict()}, path)
    assert torch.equal(read(path)["0.weight"], state["0.weight"])
