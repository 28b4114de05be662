"""A trained network, files of it, and what is to become of them."""

import enum
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from models import StudentNet
from pruning import Checkpoint, CheckpointError, read_checkpoint

CHANNELS = (2, 4, 5, 7, 9, 8, 6, 10)
CLASSES = 3

State = dict[str, Any]


def trained(seed: int = 0) -> StudentNet:
    """A net whose every tensor is random, running statistics and counters included."""
    generator = torch.Generator().manual_seed(seed)
    net = StudentNet(channels=CHANNELS, num_classes=CLASSES)
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.25)
        else:
            tensor.fill_(1000 + int(name[4]))
    return net


def assert_holds(checkpoint: Checkpoint, state: Mapping[str, Tensor]) -> None:
    assert checkpoint.channels == CHANNELS
    assert checkpoint.num_classes == CLASSES
    net = StudentNet(channels=checkpoint.channels, num_classes=checkpoint.num_classes)
    assert list(checkpoint.tensors) == list(net.state_dict())
    for name, tensor in checkpoint.tensors.items():
        assert torch.equal(tensor, state[name].to(tensor.dtype)), name
        assert tensor.dtype == (torch.int64 if name.endswith("tracked") else torch.float32)
        assert tensor.is_contiguous()
        assert not tensor.requires_grad
        assert tensor.untyped_storage().nbytes() == tensor.nbytes  # no view of something larger
    net.load_state_dict(checkpoint.tensors)


def assert_refused(path: Path, *words: str) -> None:
    with pytest.raises(CheckpointError) as refusal:
        read_checkpoint(path)
    message = str(refusal.value)
    assert message.startswith(f"{path} ")
    assert len(message.splitlines()) <= 2
    assert message.isascii() or "…" in message
    for word in words:
        assert word in message


def written(value: Any, form: str) -> bytes:
    if form == "safetensors":
        return safetensors.torch.save(value)
    if form.startswith("pickle"):
        return pickle.dumps(value, protocol=int(form[-1]))
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=form == "zip")
    return file.getvalue()


class Shade(enum.Enum):
    DARK = 1


class Notes:
    """An object of a class that no program but this knows."""

    def __init__(self) -> None:
        self.shades = [Shade.DARK]


def like(shape: tuple[int, ...]) -> Tensor:
    return torch.zeros(shape)


def without(state: State, *names: str) -> State:
    return {name: value for name, value in state.items() if name not in names}
