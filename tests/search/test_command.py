"""The command as people run it: a process of its own, real Ray, real SQLite, real images."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from optuna.trial import TrialState
from PIL import Image
from ray.cluster_utils import Cluster

from data import DataSource, gather_center, open_data
from models import StudentNet
from tests.command import (
    LOOPBACK,
    SMALL,
    Command,
    listeners,
    snapshot,
    states,
    wait_for_output,
    wait_until_gone,
)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def command(tmp_path: Path, cache: Path) -> Command:
    return Command(tmp_path, cache)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A finished search of five trials; look at it, but change nothing."""
    command = Command(tmp_path_factory.mktemp("finished"), cache)
    done = command(*SMALL, "--trials", "5")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "front: accuracy" in done.stdout
    assert "Done: 5 trials (0 stopped early, 0 failed)" in done.stdout
    return command.folder / "results" / "digits"


def test_the_results_folder_is_as_described(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {
        ".lock",
        "candidates.csv",
        "pareto.csv",
        "search.json",
        "stages",
        "study.db",
    }
    assert states(finished) == [TrialState.COMPLETE] * 5
    candidates = pd.read_csv(finished / "candidates.csv")
    assert {path.name for path in (finished / "stages").iterdir()} == set(candidates["stage"])
    assert len(candidates) == 6
    front = pd.read_csv(finished / "pareto.csv")
    assert front["params"].is_monotonic_increasing
    assert front["test_accuracy"].notna().all()
    description = json.loads((finished / "search.json").read_text())
    assert description["config"]["trials"] == 5
    assert description["config"]["image_size"] == 16
    assert description["hardware"]["workers"] == 2


def test_rows_are_true(finished: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage's file in a network of its own has the numbers of its row."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    data = open_data(DataSource(data="digits", image_size=16))
    front = pd.read_csv(finished / "pareto.csv").set_index("stage")
    for row in pd.read_csv(finished / "candidates.csv").itertuples():
        net = StudentNet(channels=json.loads(row.channels), num_classes=10).eval()
        file = finished / "stages" / row.stage / "model.safetensors"
        net.load_state_dict(safetensors.torch.load_file(file))
        assert sum(parameter.numel() for parameter in net.parameters()) == row.params
        claims = [(data.validation, row.val_accuracy)]
        if row.on_front:
            claims.append((data.test, front.loc[row.stage, "test_accuracy"]))
        for split, accuracy in claims:
            images = gather_center(split, torch.arange(len(split)), 16).permute(0, 3, 1, 2) / 255
            with torch.no_grad():
                hits = net(images).argmax(1) == split.labels
            assert hits.double().mean().item() == pytest.approx(accuracy, abs=1e-9)


def test_a_finished_search_can_be_made_longer(
    finished: Path, command: Command, tmp_path: Path
) -> None:
    moved = tmp_path / "moved elsewhere"
    moved.mkdir()
    for name, content in snapshot(finished).items():
        target = moved / Path(name).relative_to(finished)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    (moved / "candidates.csv").unlink()
    done = command("--resume", str(moved), "--trials", "7")
    assert done.returncode == 0, done.stderr
    assert states(moved) == [TrialState.COMPLETE] * 7
    before = pd.read_csv(finished / "candidates.csv").set_index("stage")
    after = pd.read_csv(moved / "candidates.csv").set_index("stage")
    assert len(after) == 8
    kept = ["trial", "params", "val_accuracy", "executed_epochs"]
    pd.testing.assert_frame_equal(after.loc[before.index, kept], before[kept])


def test_resuming_a_finished_search_only_derives_the_tables(
    finished: Path, command: Command
) -> None:
    tables = {name: (finished / name).read_bytes() for name in ("pareto.csv", "candidates.csv")}
    done = command("--resume", str(finished))
    assert done.returncode == 0, done.stderr
    assert {name: (finished / name).read_bytes() for name in tables} == tables


def test_an_interrupted_search_is_finished_with_exactly_n_trials(command: Command) -> None:
    process = command.start(
        *SMALL, "--trials", "4", "--max-rounds", "2", "--sampler", "tpe",
        "--allocations", "uniform", "global", "--out", "out",
    )  # fmt: skip
    wait_for_output(process, "front:")
    os.killpg(process.pid, signal.SIGINT)  # a terminal's Ctrl-C reaches the whole group
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    wait_until_gone(process.pid)
    assert "python search/run.py --resume out" in output
    assert errors == ""

    done = command("--resume", "out")
    assert done.returncode == 0, done.stderr
    assert states(command.folder / "out") == [TrialState.COMPLETE] * 4
    assert len(pd.read_csv(command.folder / "out" / "pareto.csv")) >= 1


@pytest.fixture
def food(tmp_path: Path) -> Path:
    """Photos in food-11's layout, of two classes and several sizes; testing is unlabelled."""
    random = np.random.default_rng(0)
    names = [
        f"{split}/{index % 2}_{index}.jpg"
        for split in ("training", "validation")
        for index in range(12)
    ]
    for place, name in enumerate([*names, "testing/0001.jpg"]):
        path = tmp_path / "11_food" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (16 + place, 40 - place, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "11_food"


def test_a_killed_search_is_finished_with_exactly_n_trials(command: Command, food: Path) -> None:
    process = command.start(*SMALL, "--data", str(food), "--trials", "6", "--out", "out")
    wait_for_output(process, "front:")
    time.sleep(1)
    process.kill()
    process.communicate()
    done = command("--resume", "out")
    assert done.returncode == 0, done.stderr
    folder = command.folder / "out"
    assert states(folder) == [TrialState.COMPLETE] * 6
    table = pd.read_csv(folder / "candidates.csv")
    assert len(table) == 7
    assert sorted(table["trial"]) == [0, 0, 1, 2, 3, 4, 5]
    assert pd.read_csv(folder / "pareto.csv")["test_accuracy"].isna().all()


def test_a_private_ray_is_reached_from_this_machine_alone(command: Command) -> None:
    process = command.start(*SMALL, "--out", "out")
    wait_for_output(process, "front:")
    found = listeners(process.pid)
    process.kill()
    process.communicate()
    assert any(found.values())
    assert all(address.endswith(LOOPBACK) for address in set().union(*found.values()))
    assert not [name for name, addresses in found.items() if "dashboard.py" in name and addresses]


@pytest.fixture
def four_declared_gpus() -> Iterator[str]:
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 4}, shutdown_at_exit=False
    )
    yield cluster.address
    cluster.shutdown()


def test_trials_are_distributed_over_a_clusters_gpus(
    command: Command, four_declared_gpus: str
) -> None:
    """Ray hands out what a cluster declares, whether this machine has such a card or not."""
    refused = command(*SMALL, "--address", four_declared_gpus, "--gpus", "5")
    assert refused.returncode == 2
    assert "--gpus 5 was asked for, but there are 4" in refused.stderr
    done = command(
        *SMALL, "--address", four_declared_gpus, "--gpus", "1", "--trials-per-gpu", "2",
        "--trials", "4", "--out", "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert states(command.folder / "out") == [TrialState.COMPLETE] * 4
    hardware = json.loads((command.folder / "out" / "search.json").read_text())["hardware"]
    assert (hardware["gpus"], hardware["workers"]) == (1, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume", "nowhere"], "holds no search"),
        (["--rates", "1.5"], "--rates"),
        (["--trials", "0"], "--trials"),
        (["--image-size", "8"], "--image-size"),
        (["--gpus", "99"], "there are"),
        (["--data", "nowhere"], "nowhere"),
        (["--resume", "/dev/null"], "holds no search"),
        (["--out", "x" * 300], "name too long"),
        (["--address", "127.0.0.1:1"], "no Ray cluster"),
    ],
)
def test_refusals_are_short_and_change_nothing(
    command: Command, arguments: list[str], message: str
) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert done.stdout == ""
    assert list(command.folder.iterdir()) == []


def test_refusals_leave_a_search_as_it_is(command: Command, finished: Path) -> None:
    before = snapshot(finished)
    for arguments in (
        ["--out", str(finished)],
        ["--resume", str(finished), "--seed", "1"],
        ["--resume", str(finished), "--data", "nowhere"],
        ["--resume", str(finished), "--gpus", "99"],
    ):
        done = command(*arguments)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.splitlines()) <= 2
    assert snapshot(finished) == before


@pytest.mark.parametrize(("name", "before"), [("version", 0), ("weight_decay", 0.5)])
def test_a_search_of_another_recipe_is_refused(
    command: Command, finished: Path, name: str, before: float
) -> None:
    folder = shutil.copytree(finished, command.folder / "out")
    description = json.loads((folder / "search.json").read_text())
    description["recipe"][name] = before
    (folder / "search.json").write_text(json.dumps(description))
    content = snapshot(folder)
    done = command("--resume", "out", "--trials", "9")
    assert done.returncode == 2
    assert f"another recipe: its {name} was {before}, and is now " in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert snapshot(folder) == content


def test_help_shows_every_flag(command: Command) -> None:
    done = command("--help")
    assert done.returncode == 0
    for flag in ("--data", "--trials-per-gpu", "--sampler", "--resume", "--address", "--seed"):
        assert flag in done.stdout


def test_a_checkpoint_is_the_root(command: Command, finished: Path) -> None:
    """Resumed, such a search needs the file no more."""
    wide = torch.nn.DataParallel(StudentNet(base=8, num_classes=10))
    torch.save({"state_dict": wide.half().state_dict()}, command.folder / "student.bin")
    done = command(*SMALL, "--checkpoint", "student.bin", "--trials", "2", "--out", "out")
    assert done.returncode == 0, done.stderr
    folder = command.folder / "out"
    root = pd.read_csv(folder / "candidates.csv").iloc[0]
    assert json.loads(root["channels"])[0] == 8
    kept = safetensors.torch.load_file(folder / "stages" / root["stage"] / "model.safetensors")
    expected = wide.module.state_dict()
    assert all(torch.equal(kept[name], expected[name].float()) for name in expected)

    (command.folder / "student.bin").unlink()
    done = command("--resume", "out", "--trials", "3")
    assert done.returncode == 0, done.stderr
    assert states(folder) == [TrialState.COMPLETE] * 3
    shutil.rmtree(folder / "stages")
    description = (folder / "search.json").read_bytes()
    refused = command("--resume", "out", "--trials", "9")
    assert refused.returncode == 2
    assert (folder / "search.json").read_bytes() == description
    assert "student.bin is gone" in refused.stderr


def test_checkpoints_that_do_not_fit_are_refused(command: Command) -> None:
    torch.save(StudentNet(num_classes=11).state_dict(), command.folder / "eleven.bin")
    torch.save(
        StudentNet(channels=[4, 4, 4, 1, 1, 1, 1, 4], num_classes=10).state_dict(),
        command.folder / "narrow.bin",
    )
    (command.folder / "text.bin").write_text("weights")
    before = snapshot(command.folder)
    for name, message in (
        ("eleven.bin", "11 classes"),
        ("narrow.bin", "no channel left"),
        ("text.bin", "text.bin"),
        ("absent.bin", "absent.bin"),
    ):
        done = command("--checkpoint", name, "--image-size", "16")
        assert done.returncode == 2, name
        assert message in done.stderr
        assert len(done.stderr.splitlines()) <= 2
    assert snapshot(command.folder) == before


@pytest.mark.parametrize("sampler", ["nsga2", "gp"])
def test_budgets_end_a_search(command: Command, sampler: str) -> None:
    done = command(
        *SMALL, "--sampler", sampler, "--max-rounds", "2", "--max-epochs", "6", "--out", "out"
    )
    assert done.returncode == 0, done.stderr
    assert "of --max-epochs" in done.stdout
    folder = command.folder / "out"
    assert set(states(folder)) <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert 4 <= pd.read_csv(folder / "candidates.csv")["executed_epochs"].max() <= 6

    done = command("--resume", "out", "--max-hours", "0.0001")
    assert done.returncode == 0, done.stderr
    assert "--max-hours" in done.stdout
