import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from models import StudentNet, multiply_adds, parameter_count, student_channels

NOTEBOOK_COUNTS = {
    1: 256_779,
    0.95: 236_066,
    0.95 * 0.95: 217_850,
    0.95 * 0.95 * 0.95: 200_354,
    0.95 * 0.95 * 0.95 * 0.95: 185_091,
    0.95 * 0.95 * 0.95 * 0.95 * 0.95: 171_606,
}
BLOCK_CHANNELS = st.lists(st.integers(1, 12), min_size=8, max_size=8)


def trainable(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("width_mult", "expected"), NOTEBOOK_COUNTS.items())
def test_parameters_along_the_notebooks_loop(width_mult: float, expected: int) -> None:
    net = StudentNet(width_mult=width_mult)
    assert trainable(net) == expected
    assert parameter_count(net.channels, 11) == expected


@given(channels=BLOCK_CHANNELS, num_classes=st.integers(2, 20))
def test_parameter_count_is_the_networks(channels: list[int], num_classes: int) -> None:
    net = StudentNet(channels=channels, num_classes=num_classes)
    assert parameter_count(channels, num_classes) == trainable(net)


@given(channels=BLOCK_CHANNELS, image_size=st.integers(16, 70))
def test_multiply_adds_agree_with_torchs_flop_counter(
    channels: list[int], image_size: int
) -> None:
    net = StudentNet(channels=channels, num_classes=7).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        net(torch.zeros(1, 3, image_size, image_size))
    assert 2 * multiply_adds(channels, 7, image_size) == counter.get_total_flops()


def test_only_blocks_three_to_six_are_scaled() -> None:
    assert student_channels(16, 0.5) == (16, 32, 64, 64, 128, 128, 128, 256)
    assert student_channels(16, 1e-6) == (16, 32, 64, 1, 1, 1, 1, 256)


def test_state_dict_keys_are_the_notebooks() -> None:
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    expected = []
    for block in range(8):
        expected += [f"cnn.{block}.0.{tensor}" for tensor in ("weight", "bias")]
        expected += [f"cnn.{block}.1.{tensor}" for tensor in norm]
        if block:
            expected += [f"cnn.{block}.3.{tensor}" for tensor in ("weight", "bias")]
    assert list(StudentNet().state_dict()) == [*expected, "fc.0.weight", "fc.0.bias"]


def test_output_shape_at_the_smallest_image() -> None:
    assert StudentNet(num_classes=3).eval()(torch.zeros(2, 3, 16, 16)).shape == (2, 3)


@pytest.mark.parametrize("channels", [[1] * 7, [1] * 9, [1] * 7 + [0]])
def test_wrong_channel_lists_are_refused(channels: list[int]) -> None:
    with pytest.raises(ValueError, match="eight positive"):
        StudentNet(channels=channels)
