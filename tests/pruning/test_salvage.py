"""Weights in pickles of arrays and in whole networks."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from models import StudentNet
from pruning import read_checkpoint
from tests.pruning.saved import CHANNELS, State, assert_holds, trained


def half(tensor: Tensor) -> Any:
    """As the course does it: what is no array but a number stays one in double precision."""
    array = np.float64(tensor.numpy())
    return np.float16(array) if isinstance(array, np.ndarray) else array


def quantized(tensor: Tensor) -> Any:
    array = np.float64(tensor.numpy())
    if not isinstance(array, np.ndarray):
        return array
    least, greatest = np.min(array), np.max(array)
    return least, greatest, np.uint8(np.round((array - least) / (greatest - least) * 255))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ["16_bit_model.pkl", "8_bit_model.pkl"])
def test_reads_the_course_s_compressed_files(
    tmp_path: Path, state: State, name: str, protocol: int
) -> None:
    compress = half if name.startswith("16") else quantized
    path = tmp_path / name
    with path.open("wb") as file:
        pickle.dump({key: compress(value) for key, value in state.items()}, file, protocol)
    checkpoint = read_checkpoint(path)
    assert checkpoint.channels == CHANNELS
    for key, tensor in checkpoint.tensors.items():
        exact = state[key].double()
        if compress is half:
            expected = exact.half().double() if exact.dim() else exact
            assert torch.equal(tensor.double(), expected), key
        else:
            step = (exact.max() - exact.min()) / 255
            assert (tensor - exact).abs().max() <= 0.5 * step + 1e-6, key


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("whole", [False, True])
def test_reads_pickled_tensors_and_networks(
    path: Path, state: State, protocol: int, whole: bool
) -> None:
    path.write_bytes(pickle.dumps(trained() if whole else state, protocol))
    assert_holds(read_checkpoint(path), state)


WHOLE: dict[str, Callable[[StudentNet], Any]] = {
    "bare": lambda net: net,
    "contained": lambda net: {"model": net, "epoch": 3},
    "parallel": nn.DataParallel,
    "averaged": lambda net: {"ema": AveragedModel(net)},
    "beside another": lambda net: {"net": net, "head": nn.Linear(2, 2)},
    "and its state": lambda net: {"model": net, "state_dict": net.state_dict()},
}


@pytest.mark.parametrize("wrap", WHOLE.values(), ids=WHOLE.keys())
def test_reads_whole_networks(path: Path, state: State, wrap: Callable[[StudentNet], Any]) -> None:
    torch.save(wrap(trained()), path)
    assert_holds(read_checkpoint(path), state)


def test_a_network_that_holds_itself_is_read(path: Path, state: State) -> None:
    net = trained()
    net.fc.add_module("whole", net)
    torch.save(net, path)
    assert_holds(read_checkpoint(path), state)
