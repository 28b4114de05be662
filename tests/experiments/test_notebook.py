"""The notebook's job as a script: real runs on the digits and on a small food-11 of JPEGs."""

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import experiments.notebook as script
from data import DataSource, ImageData, Split, open_data
from models import StudentNet
from pruning import Metrics, StudentArchitecture, evaluate, fine_tune, slim

SCRIPT = Path(script.__file__)
NUMBER, SHARE = r"( *\d+\.\d{4})", r"([01]\.\d{4})"
EPOCH = f"epoch ( {{2}}\\d): train loss: {NUMBER}, acc {SHARE} valid loss: {NUMBER}, acc {SHARE}"
LINE = re.compile(rf"rate (0\.\d{{4}}) {EPOCH}")
ROOT_LINE = re.compile(rf"root {EPOCH}")
FILES = [  # the notebook's names: floats as they are, not as one would round them
    "custom_small_rate_0.95.bin",
    "custom_small_rate_0.9025.bin",
    "custom_small_rate_0.8573749999999999.bin",
    "custom_small_rate_0.8145062499999999.bin",
    "custom_small_rate_0.7737809374999999.bin",
]
PARAMETERS = [236_066, 217_850, 200_354, 185_091, 171_606]

State = dict[str, Tensor]


def notebook_net(width: float) -> nn.Module:
    """The notebook's network, stated anew: eleven classes, first block of 16 channels."""
    sizes = [16, 32, 64, *(int(n * width) for n in (128, 256, 256, 256)), 256]
    blocks: list[nn.Module] = [
        nn.Sequential(
            nn.Conv2d(3, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU6(), nn.MaxPool2d(2, 2, 0)
        )
    ]
    for i in range(1, 8):
        layers = [
            nn.Conv2d(sizes[i - 1], sizes[i - 1], 3, 1, 1, groups=sizes[i - 1]),
            nn.BatchNorm2d(sizes[i - 1]),
            nn.ReLU6(),
            nn.Conv2d(sizes[i - 1], sizes[i], 1),
        ]
        blocks.append(nn.Sequential(*layers, *([nn.MaxPool2d(2, 2, 0)] if i < 4 else [])))
    net = nn.Module()
    net.cnn = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d((1, 1)))
    net.fc = nn.Sequential(nn.Linear(sizes[7], 11))
    return net


@dataclass(frozen=True, kw_only=True)
class Done:
    code: int
    lines: list[str]
    errors: str
    folder: Path

    def rounds(self, group: int) -> list[list[float]]:
        """A number of the 25 lines, five a round."""
        found = [LINE.fullmatch(line) for line in self.lines if not line.startswith("root")]
        numbers = [float(match[group]) for match in found if match]
        assert len(numbers) == 25
        return [numbers[at : at + 5] for at in range(0, 25, 5)]

    def states(self) -> list[State]:
        return [torch.load(self.folder / name, weights_only=True) for name in FILES]


def run(folder: Path, *arguments: str) -> Done:
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        code = script.main([*arguments, "--image-size", "16", "--out", str(folder)])
    return Done(
        code=code, lines=output.getvalue().splitlines(), errors=errors.getvalue(), folder=folder
    )


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where images are packed; the script runs on the CPU, as what it is compared with."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        patch.setattr(torch.cuda, "is_available", lambda: False)
        yield folder


@pytest.fixture(scope="module")
def food(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Food-11's layout: eleven classes of noisy colours; the testing split has no classes."""
    root = tmp_path_factory.mktemp("2020") / "food-11"  # a digit in a parent's name
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (11, 3))
    for split, count in (("training", 4), ("validation", 3), ("testing", 1)):
        (root / split).mkdir(parents=True)
        for label, index in np.ndindex(11, count):
            noise = rng.integers(-60, 61, (18 + index, 22 - index, 3))
            pixels = (colours[label] + noise).clip(0, 255).astype(np.uint8)
            name = f"{label:04}" if split == "testing" else f"{label}_{index}"
            Image.fromarray(pixels).save(root / split / f"{name}.jpg")
    return root


@pytest.fixture(scope="module")
def on_food(food: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("on-food")
    return run(folder, "--data", str(food), "--root-epochs", "3")


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return open_data(DataSource(data="digits", image_size=16))


@pytest.fixture(scope="module")
def root(digits: ImageData) -> StudentNet:
    """A small net, trained a little, so that there is still something to learn.

    Its γ have both signs, so that it matters that the notebook ranks them with their signs.
    """
    torch.manual_seed(0)
    net = StudentNet(base=4, num_classes=10)
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, -1.5, 1.5)
    fine_tune(
        net,
        digits,
        epochs=3,
        lr=3e-3,
        batch_size=32,
        weight_decay=0.01,
        generator=torch.Generator().manual_seed(0),
    )
    return net


@pytest.fixture(scope="module")
def on_digits(root: StudentNet, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Done]:
    """From the small net, with an optimizer that is `live` or `stale`."""
    folder = tmp_path_factory.mktemp("on-digits")
    torch.save(root.state_dict(), folder / "root.bin")
    checkpoint = ("--checkpoint", str(folder / "root.bin"))
    return {
        "live": run(folder / "live", *checkpoint),
        "stale": run(folder / "stale", *checkpoint, "--stale-optimizer"),
    }.__getitem__


def test_the_pattern_is_the_notebook_s() -> None:
    assert LINE.fullmatch(
        "rate 0.9500 epoch   0: train loss: 0.4973, acc 0.8666 valid loss: 1.1072, acc 0.7994"
    )


def test_prints_the_notebook_s_lines(on_food: Done) -> None:
    assert (on_food.code, on_food.errors) == (0, "")
    roots = [ROOT_LINE.fullmatch(line) for line in on_food.lines[:3]]
    lines = [LINE.fullmatch(line) for line in on_food.lines[3:]]
    assert [int(match[1]) for match in roots if match] == [0, 1, 2]
    assert [(match[1], int(match[2])) for match in lines if match] == [
        (rate, epoch)
        for rate in ("0.9500", "0.9025", "0.8574", "0.8145", "0.7738")
        for epoch in range(5)
    ]


def test_the_notebook_s_network_loads_every_file(on_food: Done) -> None:
    assert sorted(path.name for path in on_food.folder.iterdir()) == sorted(FILES)
    width = 1.0
    for state, parameters in zip(on_food.states(), PARAMETERS, strict=True):
        width *= 0.95
        net = notebook_net(width)
        net.load_state_dict(state)
        assert list(state) == list(net.state_dict())
        assert all(value.device.type == "cpu" for value in state.values())
        assert sum(value.numel() for value in net.parameters()) == parameters


@pytest.mark.parametrize("optimizer", ["live", "stale"])
def test_a_file_has_the_best_accuracy_of_its_width(
    on_digits: Callable[[str], Done], digits: ImageData, optimizer: str
) -> None:
    done = on_digits(optimizer)
    for state, accuracies in zip(done.states(), done.rounds(6), strict=True):
        channels = [4, *(len(state[f"cnn.{block}.3.weight"]) for block in range(1, 8))]
        net = StudentNet(channels=channels, num_classes=10)
        net.load_state_dict(state)
        accuracy = evaluate(net, digits.validation, 16).accuracy
        assert round(accuracy, 4) == max(accuracies)


def test_a_stale_optimizer_leaves_every_weight_of_the_root(
    on_digits: Callable[[str], Done], root: StudentNet
) -> None:
    """Through all rounds, the files hold the root's own numbers; only statistics moved."""
    architecture = StudentArchitecture(channels=root.channels, num_classes=10)
    net: nn.Module = root
    for done, state in enumerate(on_digits("stale").states(), start=1):
        width = np.prod([0.95] * done)
        net = slim(net, architecture, architecture.channels_at(width), "signed-gamma")
        for name, weight in net.named_parameters():
            assert torch.equal(state[name], weight), name
        for name, statistic in net.named_buffers():
            assert not torch.equal(state[name], statistic), name


def test_a_live_optimizer_moves_every_weight(
    on_digits: Callable[[str], Done], root: StudentNet
) -> None:
    architecture = StudentArchitecture(channels=root.channels, num_classes=10)
    net = slim(root, architecture, architecture.channels_at(0.95), "signed-gamma")
    state = on_digits("live").states()[0]
    assert not any(torch.equal(state[name], weight) for name, weight in net.named_parameters())


def test_only_a_live_optimizer_lowers_the_loss(on_digits: Callable[[str], Done]) -> None:
    live, stale = on_digits("live").rounds(3), on_digits("stale").rounds(3)
    assert live[0][-1] < 0.95 * live[0][0]
    assert live[-1][-1] < 0.75 * min(map(min, stale))
    for losses in stale:
        assert max(losses) - min(losses) < 0.15 * min(losses)


@pytest.mark.parametrize("stale", [(), ("--stale-optimizer",)], ids=["live", "stale"])
def test_rounds_go_on_from_the_last_epoch_and_files_hold_the_best(
    food: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stale: tuple[str, ...]
) -> None:
    rounds: list[list[tuple[State, float]]] = [[]]

    def watched_evaluate(net: nn.Module, split: Split, image_size: int) -> Metrics:
        metrics = evaluate(net, split, image_size)
        state = {name: value.clone() for name, value in net.state_dict().items()}
        rounds[-1].append((state, metrics.accuracy))
        return metrics

    def watched_slim(net: nn.Module, *others: object) -> nn.Module:
        last, _ = rounds[-1][-1]
        assert all(torch.equal(last[name], value) for name, value in net.state_dict().items())
        rounds.append([])
        return slim(net, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(script, "evaluate", watched_evaluate)
    monkeypatch.setattr(script, "slim", watched_slim)
    done = run(tmp_path, "--data", str(food), "--root-epochs", "1", *stale)
    assert [len(epochs) for epochs in rounds] == [1, 5, 5, 5, 5, 5]
    weights = [name for name, _ in StudentNet().named_parameters()]
    for epochs, kept in zip(rounds[1:], done.states(), strict=True):
        best, _ = max(epochs, key=lambda epoch: epoch[1])  # the first, as in the notebook
        assert all(torch.equal(best[name], kept[name]) for name in kept)
        first, second = epochs[0][0], epochs[1][0]
        still = [name for name in weights if torch.equal(first[name], second[name])]
        assert still == (weights if stale else [])
        if stale:
            assert all(torch.equal(first[n], state[n]) for state, _ in epochs for n in weights)


@pytest.mark.parametrize("trained", [False, True], ids=["root trained", "checkpoint"])
def test_the_seed_decides_everything(food: Path, tmp_path: Path, trained: bool) -> None:
    """With a checkpoint it decides shuffling and augmentation, without one the root too."""
    torch.save(StudentNet(base=4).state_dict(), tmp_path / "root.bin")
    root = ("--checkpoint", str(tmp_path / "root.bin")) if trained else ("--root-epochs", "1")

    def lines(folder: str, seed: int) -> list[str]:
        torch.rand(3)  # the process's own random state plays no part
        done = run(tmp_path / folder, "--data", str(food), *root, "--seed", str(seed))
        assert len(done.lines) == 25 + (not trained)
        return done.lines

    first = lines("first", 0)
    assert lines("same", 0) == first
    assert not set(lines("other", 1)) & set(first)


def listing(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "no data": (("--data", "nowhere"), "nowhere"),
    "small images": (("--image-size", "15"), "found 15"),
    "epochs": (("--root-epochs", "-1"), "--root-epochs must be at least 0, got -1."),
    "seed": (("--seed", "-1"), "got -1."),
    "large seed": (("--seed", str(2**64)), f"got {2**64}."),
    "no checkpoint": (("--checkpoint", "nowhere.bin"), "nowhere.bin is not a file"),
    "bad checkpoint": (("--checkpoint", "text.bin"), "text.bin is damaged"),
    "other classes": (("--checkpoint", "eleven.bin"), "11 classes apart, but digits has 10"),
    "a file": (("--out", "text.bin"), "text.bin cannot be written (File exists)"),
    "in a file": (("--out", "text.bin/out"), "cannot be written (Not a directory)"),
}


@pytest.mark.parametrize(("arguments", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refusals_are_short_and_change_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.bin").write_text("no weights\n" * 9)
    torch.save(StudentNet(base=1).state_dict(), tmp_path / "eleven.bin")
    before = listing(tmp_path)
    assert script.main(["--root-epochs", "1", "--image-size", "16", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert 1 <= len(captured.err.splitlines()) <= 2
    assert listing(tmp_path) == before


def test_a_full_disk_is_said(food: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(script, "replace_file", fail)
    done = run(tmp_path, "--data", str(food), "--root-epochs", "0")
    assert done.code == 2
    assert done.errors == (
        f"{tmp_path / FILES[0]} cannot be written (No space left on device); "
        "give another folder with --out.\n"
    )


def test_divergence_is_said(food: Path, tmp_path: Path) -> None:
    net = StudentNet(base=1)
    nn.init.constant_(net.fc[0].weight, 3e38)
    torch.save(net.state_dict(), tmp_path / "steep.bin")
    done = run(tmp_path / "out", "--data", str(food), "--checkpoint", str(tmp_path / "steep.bin"))
    assert done.code == 2
    assert done.errors.startswith("Training diverged: loss ")
    assert len(done.errors.splitlines()) == 1


def test_ctrl_c_that_a_library_swallows_ends_it_after_the_epoch(
    food: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swallow(*arguments: Any) -> Metrics:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return evaluate(*arguments)

    monkeypatch.setattr(script, "evaluate", swallow)
    done = run(tmp_path / "out", "--data", str(food), "--root-epochs", "9")
    assert (done.code, done.errors, done.lines) == (130, "Interrupted.\n", [])


@pytest.mark.slow
def test_ctrl_c_ends_it_with_130(cache: Path, tmp_path: Path) -> None:
    """The script as people run it, in a process of its own; results go to the current folder."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "--data", "digits", "--root-epochs", "1"],
        cwd=tmp_path,
        env={
            **os.environ,
            "XDG_CACHE_HOME": str(cache),
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("rate"):
            process.send_signal(signal.SIGINT)
            break
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "Interrupted.\n"
    assert {path.name for path in tmp_path.iterdir()} <= set(FILES)
