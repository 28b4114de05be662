"""The command as people run it: a process of its own, real Ray, real SQLite, real images."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
import safetensors.torch
import torch
from optuna.trial import TrialState
from PIL import Image

from data import DataSource, gather_center, open_data
from models import StudentNet
from pruning import StageStore
from tests.command import (
    GIVEN,
    LOOPBACK,
    SMALL,
    TRIALS,
    Command,
    Here,
    in_group,
    listeners,
    states,
    wait_for_output,
    wait_until_gone,
)


def test_the_results_folder_is_as_described(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {
        ".lock",
        "candidates.csv",
        "pareto.csv",
        "pareto.png",
        "report.html",
        "search.json",
        "stages",
        "study.db",
    }
    assert states(finished) == [TrialState.COMPLETE] * TRIALS
    candidates = pd.read_csv(finished / "candidates.csv")
    assert {path.name for path in (finished / "stages").iterdir()} == set(candidates["stage"])
    assert len(candidates) == TRIALS + 1
    front = pd.read_csv(finished / "pareto.csv")
    assert front["params"].is_monotonic_increasing
    assert front["test_accuracy"].notna().all()
    description = json.loads((finished / "search.json").read_text())
    assert description["config"]["trials"] == TRIALS
    assert description["config"]["image_size"] == 16
    assert description["hardware"]["workers"] == 2


def test_rows_are_true(finished: Path, packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage's file in a network of its own has the numbers of its row."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(packs))
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


@pytest.mark.slow
def test_a_finished_search_can_be_made_longer(finished: Path, command: Command) -> None:
    moved = shutil.copytree(finished, command.folder / "moved elsewhere")
    (moved / "candidates.csv").unlink()
    done = command("--resume", str(moved), "--trials", str(TRIALS + 2))
    assert done.returncode == 0, done.stderr
    assert states(moved) == [TrialState.COMPLETE] * (TRIALS + 2)
    before = pd.read_csv(finished / "candidates.csv").set_index("stage")
    after = pd.read_csv(moved / "candidates.csv").set_index("stage")
    assert len(after) == TRIALS + 3
    kept = ["trial", "params", "val_accuracy", "executed_epochs"]
    pd.testing.assert_frame_equal(after.loc[before.index, kept], before[kept])


def test_resuming_a_finished_search_only_derives_the_tables(finished: Path, here: Here) -> None:
    folder = shutil.copytree(finished, Path("out"))
    done = here("--resume", "out")
    assert done.returncode == 0, done.stderr
    for name in ("pareto.csv", "candidates.csv"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes()
    table = pd.read_csv(folder / "pareto.csv")
    gap = (table["test_accuracy"] - table["val_accuracy"]).mean()
    assert f"accuracy differs by {gap:+.3f} on average" in done.stdout


@pytest.mark.slow
def test_the_front_of_a_finished_search_can_be_confirmed(
    finished: Path, command: Command, packs: Path
) -> None:
    """Killed midway, it goes on; the search itself and its tables stay as they were."""
    folder = shutil.copytree(finished, command.folder / "out")
    process = command.start("--resume", "out", "--confirm", "2")
    wait_for_output(process, "Confirming the front")
    present = len(list((folder / "stages").iterdir()))
    while len(list((folder / "stages").glob("*/stage.json"))) == present:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = command("--resume", "out")
    assert done.returncode == 0, done.stderr
    assert "validation accuracy differs by" in done.stdout
    before = pd.read_csv(finished / "candidates.csv")
    table = pd.read_csv(folder / "candidates.csv")
    columns = [name for name in table.columns if not name.startswith("repeats")]
    pd.testing.assert_frame_equal(table[columns], before[columns])
    store = StageStore(folder / "stages")
    for row in table.itertuples():
        repeats = store.repeats.get(row.stage, [])
        assert row.repeats == len(repeats) == (2 if row.on_front and row.round else 0)
        if repeats:
            accuracies = [stage.val_accuracy for stage in repeats]
            assert row.repeats_val_mean == pytest.approx(np.mean(accuracies))
            assert {stage.schedule[-1].replicate for stage in repeats} == {1, 2}
            assert all(stage.test_accuracy is not None for stage in repeats)
            assert repeats[0].sha256 != repeats[1].sha256 != store[row.stage].sha256
    assert states(folder) == states(finished)


@pytest.fixture
def student(command: Command) -> StudentNet:
    """A narrow network, as it is when it has been loaded from `student.bin`."""
    wide = torch.nn.DataParallel(StudentNet(base=8, num_classes=10))
    torch.save({"state_dict": wide.half().state_dict()}, command.folder / "student.bin")
    net: StudentNet = wide.module.float()
    return net


def test_an_interrupted_search_is_finished_with_exactly_n_trials(
    command: Command, student: StudentNet, here: Here
) -> None:
    """A search of schedules from a checkpoint, which it needs no more when it is resumed."""
    process = command.start(
        *GIVEN, "--trials", "4", "--max-rounds", "2", "--sampler", "tpe", "--out", "out",
        "--checkpoint", "student.bin", "--allocations", "uniform", "global",
    )  # fmt: skip
    wait_for_output(process, "root:")
    reached = in_group(process.pid)
    heard = listeners(process.pid)
    os.killpg(process.pid, signal.SIGTERM)  # as schedulers do; a terminal's Ctrl-C is the same
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors + output
    wait_until_gone(process.pid)
    assert "python search/run.py --resume out" in output
    assert errors == ""

    assert len(reached) == 1, f"Ray's processes must not get the group's signals: {reached}"
    assert any(heard.values())
    assert all(address.endswith(LOOPBACK) for address in set().union(*heard.values()))
    assert not [name for name, addresses in heard.items() if "dashboard.py" in name and addresses]

    (command.folder / "student.bin").unlink()
    done = command("--resume", "out")
    assert done.returncode == 0, done.stderr
    folder = command.folder / "out"
    assert states(folder) == [TrialState.COMPLETE] * 4
    assert len(pd.read_csv(folder / "pareto.csv")) >= 1
    root = pd.read_csv(folder / "candidates.csv").iloc[0]
    assert json.loads(root["channels"])[0] == 8
    kept = safetensors.torch.load_file(folder / "stages" / root["stage"] / "model.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in student.state_dict().items())

    shutil.rmtree(folder / "stages")
    description = (folder / "search.json").read_bytes()
    refused = here("--resume", "out", "--trials", "9")
    assert refused.returncode == 2
    assert "student.bin is gone" in refused.stderr
    assert (folder / "search.json").read_bytes() == description


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
    """Workers and a resumed search leave out and trade what the first run did."""
    (food / "training" / "1_99.jpg").write_bytes(b"no image")
    process = command.start(
        *SMALL, "--data", str(food), "--skip-broken", "--trials", "6", "--out", "out",
        "--cost", "macs", "--log-json", "events.jsonl",
    )  # fmt: skip
    wait_for_output(process, "Left out 1 of 26 images")
    wait_for_output(process, "root:")
    time.sleep(1)
    process.kill()
    process.communicate()
    done = command("--resume", "out", "--quiet", "--log-json", "events.jsonl")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["Done:", "The"]
    folder = command.folder / "out"
    events = map(json.loads, (command.folder / "events.jsonl").read_text().splitlines())
    names = [event["event"] for event in events]
    assert names.count("start") == 2
    assert names[-1] == "end"
    assert states(folder) == [TrialState.COMPLETE] * 6
    table = pd.read_csv(folder / "candidates.csv")
    assert len(table) == 7
    assert sorted(table["trial"]) == [0, 0, 1, 2, 3, 4, 5]
    front = pd.read_csv(folder / "pareto.csv")
    assert front["test_accuracy"].isna().all()
    assert front["macs"].is_monotonic_increasing
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{folder / 'study.db'}")
    assert study.metric_names == ["val_accuracy", "macs"]
    assert {trial.values[1] for trial in study.trials} <= set(table["macs"])


@pytest.mark.slow
def test_a_checkpoint_with_its_classes_in_another_order_is_doubted(
    command: Command, finished: Path
) -> None:
    root = pd.read_csv(finished / "candidates.csv").iloc[0]
    state = safetensors.torch.load_file(finished / "stages" / root["stage"] / "model.safetensors")
    turned = {name: state[name].roll(1, 0) for name in ("fc.0.weight", "fc.0.bias")}
    torch.save(state | turned, command.folder / "turned.bin")
    done = command(*GIVEN, "--trials", "1", "--checkpoint", "turned.bin")
    assert done.returncode == 0, done.stderr
    assert "usually the checkpoint has its classes in another order" in done.stdout


@pytest.mark.parametrize("sampler", ["nsga2", "gp"])
@pytest.mark.slow
def test_budgets_end_a_search(command: Command, here: Here, sampler: str) -> None:
    done = command(
        *SMALL, "--sampler", sampler, "--max-rounds", "2", "--max-epochs", "6", "--out", "out"
    )
    assert done.returncode == 0, done.stderr
    assert "of --max-epochs" in done.stdout
    folder = command.folder / "out"
    assert set(states(folder)) <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert 4 <= pd.read_csv(folder / "candidates.csv")["executed_epochs"].max() <= 6

    done = here("--resume", "out", "--max-hours", "0.0001")
    assert done.returncode == 0, done.stderr
    assert "--max-hours" in done.stdout
