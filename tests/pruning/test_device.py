"""What the host and a GPU do to each other, without a GPU."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from data import ImageData
from models import StudentNet
from pruning import (
    Precision,
    Round,
    RoundRunner,
    Stage,
    Start,
    evaluate,
    fine_tune,
    recalibrate,
    training,
)
from tests.pruning.fake_device import CUDA, Watch, fake_cuda

BATCH_SIZE, STEPS = 32, 2  # of 65 images
EPOCHS = 2


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crops are taken for a step at a time, so that whatever is done for each is counted."""
    monkeypatch.setattr(training, "_PIXELS_AT_ONCE", {"cuda": BATCH_SIZE * 16**2})


def net_on_gpu() -> nn.Module:
    return StudentNet(base=4, num_classes=10).to(CUDA)


def train(net: nn.Module, data: ImageData, precision: Precision = "fp32") -> None:
    fine_tune(
        net,
        data,
        epochs=EPOCHS,
        lr=1e-3,
        batch_size=BATCH_SIZE,
        weight_decay=0.01,
        generator=torch.Generator(),
        decay=True,
        warm_up=0.1,
        precision=precision,
    )


def watched(watch: Watch, act: Callable[[], Any]) -> tuple[Any, int, int, list[str]]:
    """The result of something, and its waits, copies and mixed operations."""
    waits, copies, mixed = watch.waits, watch.copies, len(watch.mixed)
    result = act()
    return result, watch.waits - waits, watch.copies - copies, watch.mixed[mixed:]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_step_waits_for_the_gpu_nor_the_gpu_for_the_host(
    few_digits: ImageData, monkeypatch: pytest.MonkeyPatch, precision: Precision
) -> None:
    """An epoch sends its order and its crops, and reads its loss and its hits."""
    generator = torch.Generator()
    with fake_cuda(monkeypatch) as watch:
        data, net = few_digits.to(CUDA), net_on_gpu()
        _, *epochs = watched(watch, lambda: train(net, data, precision))
        _, *calibration = watched(
            watch, lambda: recalibrate(net, data, generator=generator, precision=precision)
        )
        _, *evaluation = watched(watch, lambda: evaluate(net, data.validation, 16, precision))
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert epochs == [2 * EPOCHS, 2 * EPOCHS, []]
    assert calibration == [0, 1, []]
    assert evaluation == [2, 1, []]


@pytest.mark.parametrize("start", ["inherit", "fresh"])
def test_a_round_reads_its_metrics_and_its_weights(
    few_digits: ImageData, runner: RoundRunner, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    wide = runner.architecture.build(runner.architecture.channels)
    weights = safetensors.torch.save(wide.state_dict())
    monkeypatch.setattr("safetensors.torch.save", lambda _: b"")
    round_ = Round(rate=0.5, epochs=EPOCHS, lr=1e-3, start=start)
    recipe = replace(runner.origin.recipe, least_unaugmented=0)  # so that there are augmented ones
    origin = replace(runner.origin, recipe=recipe, device_type="cuda", precision="bf16")
    with fake_cuda(monkeypatch) as watch:
        on_gpu = replace(runner, data=few_digits.to(CUDA), device=CUDA, origin=origin)
        (draft, _), *root = watched(watch, on_gpu.root)
        parent = Stage.accept(draft, trial=0, executed_epochs=0, sha256="")
        _, *child = watched(watch, lambda: on_gpu.child(parent, weights, round_))
    tensors = len(StudentNet().state_dict())
    assert root == [2 + 2, 2 + 2 + tensors, []]
    unaugmented = recipe.unaugmented_of(EPOCHS)  # to which no crops are sent
    assert child == [2 * EPOCHS + 2, 2 * EPOCHS - unaugmented + 2 + tensors, []]


def normalized(images_NHWC: Tensor) -> Tensor:  # noqa: N803
    return images_NHWC.permute(0, 3, 1, 2).float() / 255


def reads_a_value(images_NHWC: Tensor) -> Tensor:  # noqa: N803
    return normalized(images_NHWC) / images_NHWC.max().item()


def decides_by_a_value(images_NHWC: Tensor) -> Tensor:  # noqa: N803
    return normalized(images_NHWC) if images_NHWC.any() else images_NHWC


def indexes_from_the_host(images_NHWC: Tensor) -> Tensor:  # noqa: N803
    return normalized(images_NHWC[torch.randperm(len(images_NHWC))])


def sends_for_each_step(images_NHWC: Tensor) -> Tensor:  # noqa: N803
    return normalized(images_NHWC) - torch.zeros(3, 1, 1).to(images_NHWC.device)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (normalized, (0, 0, 0)),
        (reads_a_value, (1, 0, 0)),
        (decides_by_a_value, (1, 0, 0)),
        (indexes_from_the_host, (0, 0, 1)),
        (sends_for_each_step, (0, 1, 0)),
    ],
)
def test_a_fault_in_a_step_is_found(
    few_digits: ImageData,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Tensor], Tensor],
    found: tuple[int, int, int],
) -> None:
    monkeypatch.setattr(training, "_normalized", fault)
    with fake_cuda(monkeypatch) as watch:
        data, net = few_digits.to(CUDA), net_on_gpu()
        _, waits, copies, mixed = watched(watch, lambda: train(net, data))
    steps = EPOCHS * STEPS
    excess = (waits - 2 * EPOCHS, copies - 2 * EPOCHS, len(mixed))
    assert excess == tuple(count * steps for count in found)


def test_a_tensor_left_on_the_host_is_an_error(
    few_digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        training, "_normalized", lambda images: normalized(images) - torch.ones(3, 1, 1)
    )
    with fake_cuda(monkeypatch), pytest.raises(RuntimeError, match="cuda:0 and cpu"):
        train(net_on_gpu(), few_digits.to(CUDA))
