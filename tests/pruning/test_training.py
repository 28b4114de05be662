import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from data import ImageData, draw_crops, gather_center, gather_train
from pruning import (
    Metrics,
    NonFiniteError,
    Precision,
    StudentArchitecture,
    evaluate,
    fine_tune,
    new_optimizer,
    recalibrate,
    slim,
    train_epoch,
    training,
)
from pruning.training import _spans


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slimmed_net(architecture: StudentArchitecture) -> tuple[torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    wide = architecture.build(architecture.channels)
    return wide, slim(wide, architecture, architecture.channels_at(0.5))


def weights_of(net: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in net.parameters()]


def test_a_stale_optimizer_moves_no_weight_and_a_live_one_moves_all(
    few_digits: ImageData, architecture: StudentArchitecture
) -> None:
    """The notebook builds its optimizer once, for the network that the first round replaces."""
    wide, net = slimmed_net(architecture)
    stale = new_optimizer(wide, lr=1e-3, weight_decay=0.01)
    before = weights_of(net)
    train_epoch(net, few_digits, stale, batch_size=32, generator=generator())
    assert all(torch.equal(now, then) for now, then in zip(weights_of(net), before, strict=True))

    fine_tune(
        net,
        few_digits,
        epochs=1,
        lr=1e-3,
        batch_size=32,
        weight_decay=0.01,
        generator=generator(),
    )
    assert not any(
        torch.equal(now, then) for now, then in zip(weights_of(net), before, strict=True)
    )


def test_training_lowers_the_loss(digits: ImageData, architecture: StudentArchitecture) -> None:
    _, net = slimmed_net(architecture)
    seen: list[Metrics] = []
    fine_tune(
        net,
        digits,
        epochs=6,
        lr=3e-3,
        batch_size=32,
        weight_decay=0.01,
        generator=generator(),
        on_epoch=lambda _, metrics: seen.append(metrics),
    )
    assert len(seen) == 6
    assert seen[5].loss < 0.7 * seen[0].loss
    assert evaluate(net, digits.validation, digits.image_size).accuracy > 0.5


@pytest.mark.parametrize("count", [2, 31, 32, 33, 64, 65, 97])
def test_every_image_is_used_once_an_epoch_and_none_is_alone(count: int) -> None:
    batches = [range(count)[span] for span in _spans(count, 32)]
    assert [index for batch in batches for index in batch] == list(range(count))
    assert all(2 <= len(batch) <= 33 for batch in batches)


def test_a_last_image_alone_does_not_break_batch_norm(
    few_digits: ImageData, architecture: StudentArchitecture
) -> None:
    """At 16 pixels the last blocks see one pixel; one image would be one value a channel."""
    assert len(few_digits.train) % 32 == 1
    _, net = slimmed_net(architecture)
    optimizer = new_optimizer(net, lr=1e-3, weight_decay=0.0)
    metrics = train_epoch(net, few_digits, optimizer, batch_size=32, generator=generator())
    assert metrics.loss > 0


def test_evaluation_is_the_mean_over_single_images(
    digits: ImageData, architecture: StudentArchitecture
) -> None:
    _, net = slimmed_net(architecture)
    net.eval()
    split = digits.validation
    losses, hits = [], []
    with torch.no_grad():
        for index in range(len(split)):
            start = int(split.offsets[index])
            pixels = split.pixels[start : start + 16 * 16].view(1, 16, 16, 3)
            logits = net(pixels.permute(0, 3, 1, 2) / 255)
            losses.append(F.cross_entropy(logits, split.labels[index : index + 1]).item())
            hits.append(logits.argmax().item() == split.labels[index].item())
    metrics = evaluate(net, split, digits.image_size)
    assert metrics.loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert metrics.accuracy == sum(hits) / len(hits)


def test_divergence_is_an_error(few_digits: ImageData, architecture: StudentArchitecture) -> None:
    _, net = slimmed_net(architecture)
    with pytest.raises(NonFiniteError, match="loss nan"):
        fine_tune(
            net,
            few_digits,
            epochs=3,
            lr=1e30,
            batch_size=32,
            weight_decay=0.0,
            generator=generator(),
        )


def test_the_generator_alone_decides_the_result(
    few_digits: ImageData, architecture: StudentArchitecture
) -> None:
    def trained(seed: int, noise: int) -> list[torch.Tensor]:
        _, net = slimmed_net(architecture)
        torch.manual_seed(noise)
        fine_tune(
            net,
            few_digits,
            epochs=1,
            lr=1e-3,
            batch_size=32,
            weight_decay=0.01,
            generator=generator(seed),
        )
        return weights_of(net)

    first, same, other = trained(1, 10), trained(1, 11), trained(2, 10)
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_no_epochs_leave_the_network_as_it_is(
    few_digits: ImageData, architecture: StudentArchitecture
) -> None:
    _, net = slimmed_net(architecture)
    before = weights_of(net)
    fine_tune(
        net,
        few_digits,
        epochs=0,
        lr=1.0,
        batch_size=32,
        weight_decay=0.1,
        generator=generator(),
    )
    assert all(torch.equal(a, b) for a, b in zip(weights_of(net), before, strict=True))


def test_a_falling_learning_rate_ends_near_zero(
    few_digits: ImageData, architecture: StudentArchitecture
) -> None:
    """The last of many epochs hardly moves the weights if the rate falls, as it does if not."""

    def last_move(*, decay: bool) -> float:
        _, net = slimmed_net(architecture)
        history: list[list[torch.Tensor]] = []
        fine_tune(
            net,
            few_digits,
            epochs=20,
            lr=1e-3,
            batch_size=32,
            weight_decay=0.0,
            generator=generator(),
            decay=decay,
            on_epoch=lambda *_: history.append(weights_of(net)),
        )
        moves = [(a - b).abs().sum() for a, b in zip(*history[-2:], strict=True)]
        return float(torch.stack(moves).sum())

    assert last_move(decay=True) < 0.2 * last_move(decay=False)


def test_a_learning_rate_rises_over_its_share_of_the_steps(
    few_digits: ImageData, architecture: StudentArchitecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def recorded(optimizer: torch.optim.AdamW, *arguments: Any) -> Any:
        rates.append(optimizer.param_groups[0]["lr"])
        return step(optimizer, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", recorded)
    _, net = slimmed_net(architecture)
    fine_tune(
        net,
        few_digits,
        epochs=20,
        lr=0.01,
        batch_size=len(few_digits.train),
        weight_decay=0.0,
        generator=generator(),
        decay=True,
        warm_up=0.2,
    )
    falling = [0.01 * (1 - at / 20) for at in range(20)]
    rising = [0.25, 0.5, 0.75, *[1] * 17]
    expected = [a * b for a, b in zip(falling, rising, strict=True)]
    assert rates == pytest.approx(expected)


def test_the_last_epochs_see_images_as_evaluation_does(
    few_digits: ImageData, architecture: StudentArchitecture
) -> None:
    """All of the images are there, each as it is."""
    _, net = slimmed_net(architecture)
    seen: list[torch.Tensor] = []
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    fine_tune(
        net,
        few_digits,
        epochs=5,
        lr=0.01,
        batch_size=32,
        weight_decay=0.0,
        generator=generator(),
        unaugmented=2,
    )
    epochs = torch.cat(seen).split(len(few_digits.train))
    everything = torch.arange(len(few_digits.train))
    middles = gather_center(few_digits.train, everything, few_digits.image_size)
    as_they_are = (middles.permute(0, 3, 1, 2).float() / 255).flatten(1)

    def left_alone(images: torch.Tensor) -> bool:
        distances = torch.cdist(as_they_are.double(), images.flatten(1).double())
        return bool((distances.min(1).values < 1e-6).all())

    assert [left_alone(images) for images in epochs] == [False] * 3 + [True] * 2


def as_in_the_notebook(net: nn.Module) -> nn.Module:
    """The same weights in the library's own layers, in its own memory format."""
    plain = copy.deepcopy(net).to(memory_format=torch.contiguous_format)
    for module in plain.modules():
        if isinstance(module, nn.Conv2d):
            module.__class__ = nn.Conv2d
    stem = plain.cnn[0]
    plain.cnn[0] = nn.Sequential(stem[0], stem[1], stem[3], stem[2])
    return plain


@pytest.mark.parametrize("at_once", [2**20, 100 * 16 * 16])
def test_the_loss_curve_is_that_of_a_plain_loop(
    digits: ImageData,
    architecture: StudentArchitecture,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
) -> None:
    """Whatever makes the trainer fast changes nothing but time, be images small or large.

    The two round differently, and in single precision that difference grows to 1 % within two
    epochs, as it does between two processors; so both compute in double precision.
    """
    monkeypatch.setattr("models.stem._CHUNK_VALUES", at_once)
    monkeypatch.setattr("pruning.training._PIXELS_AT_ONCE", {"cpu": at_once})
    monkeypatch.setattr(
        "pruning.training._normalized",
        lambda images_NHWC: images_NHWC.permute(0, 3, 1, 2).double() / 255,  # noqa: N803
    )
    _, net = slimmed_net(architecture)
    net.double()
    plain = as_in_the_notebook(net)
    net.to(memory_format=torch.channels_last)
    curve: list[float] = []
    fine_tune(
        net,
        digits,
        epochs=2,
        lr=1e-3,
        batch_size=32,
        weight_decay=0.01,
        generator=generator(),
        on_epoch=lambda _, metrics: curve.append(metrics.loss),
    )

    draws, plain_curve = generator(), []
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-3, weight_decay=0.01, foreach=False)
    train, size = digits.train, digits.image_size
    for _ in range(2):
        order = torch.randperm(len(train), generator=draws)
        crops = draw_crops(
            train, order, size=size, padding=digits.padding, flip=digits.flip, generator=draws
        )
        images = gather_train(train, order, crops, size).permute(0, 3, 1, 2).double() / 255
        total = 0.0
        for batch, labels in zip(images.split(32), train.labels[order].split(32), strict=True):
            loss = F.cross_entropy(plain(batch), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        plain_curve.append(total / len(train))
    assert curve == pytest.approx(plain_curve, rel=1e-6)


def test_recalibration_takes_statistics_of_centre_crops_and_nothing_else(
    digits: ImageData, architecture: StudentArchitecture
) -> None:
    _, net = slimmed_net(architecture)
    before = weights_of(net)
    recalibrate(net, digits, generator=generator())
    assert all(torch.equal(a, b) for a, b in zip(weights_of(net), before, strict=True))

    everything = torch.arange(len(digits.train))
    images = gather_center(digits.train, everything, digits.image_size).permute(0, 3, 1, 2) / 255
    stem = net.cnn[0]
    with torch.no_grad():
        responses = stem[0](images)
    for mine, exact in (
        (stem[1].running_mean, responses.double().mean((0, 2, 3))),
        (stem[1].running_var, responses.double().var((0, 2, 3))),
    ):
        torch.testing.assert_close(mine.double(), exact, rtol=2e-3, atol=1e-4)
    assert stem[1].momentum == nn.BatchNorm2d(1).momentum


def test_recalibration_sees_what_evaluation_does(digits: ImageData) -> None:
    """Dropout in front of a norm takes no part in its statistics."""
    net = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(3))
    recalibrate(net, digits, generator=generator())
    plain = nn.Sequential(nn.Identity(), nn.BatchNorm2d(3))
    recalibrate(plain, digits, generator=generator())
    assert torch.equal(net[1].running_var, plain[1].running_var)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(3), nn.SyncBatchNorm(3)])
def test_recalibration_takes_statistics_of_any_batch_norm(
    digits: ImageData, norm: nn.BatchNorm1d | nn.SyncBatchNorm
) -> None:
    """As of those in front of a classifier."""
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), norm)
    recalibrate(net, digits, generator=generator())
    everything = torch.arange(len(digits.train))
    images = gather_center(digits.train, everything, digits.image_size).double() / 255
    exact = images.mean((0, 1, 2))
    torch.testing.assert_close(norm.running_mean.double(), exact, rtol=1e-3, atol=1e-4)


def test_recalibration_is_the_library_s_plain_average_to_the_bit(
    digits: ImageData, architecture: StudentArchitecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = 100
    monkeypatch.setattr("pruning.training._PIXELS_AT_ONCE", {"cpu": at_once * 16**2})
    _, net = slimmed_net(architecture)
    plain = copy.deepcopy(net).train()
    recalibrate(net, digits, generator=generator())
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    order = torch.randperm(len(digits.train), generator=generator())
    with torch.no_grad():
        for some in order.split(at_once):
            plain(training._normalized(gather_center(digits.train, some, digits.image_size)))
    for name, tensor in plain.state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor), name
    assert net.cnn[0][1].num_batches_tracked > 2


def test_half_precision_changes_results_a_little_and_keeps_weights_whole(
    few_digits: ImageData, architecture: StudentArchitecture
) -> None:
    def trained(precision: Precision) -> tuple[nn.Module, Metrics]:
        _, net = slimmed_net(architecture)
        optimizer = new_optimizer(net, lr=1e-3, weight_decay=0.0)
        metrics = train_epoch(
            net,
            few_digits,
            optimizer,
            batch_size=32,
            generator=generator(),
            precision=precision,
        )
        return net, metrics

    (_, full), (net, half) = trained("fp32"), trained("bf16")
    assert full.loss != half.loss == pytest.approx(full.loss, rel=0.05)
    assert {tensor.dtype for tensor in net.parameters()} == {torch.float32}
    losses = [evaluate(net, few_digits.validation, 16, name).loss for name in ("fp32", "bf16")]
    assert losses[0] != losses[1] == pytest.approx(losses[0], rel=0.05)
