"""The command as people run it: a process of its own, real Ray, real SQLite, real images."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
import safetensors.torch
import torch
from optuna.trial import TrialState
from PIL import Image
from ray.cluster_utils import Cluster

from data import DataSource, gather_center, open_data
from models import StudentNet
from pruning import StageStore
from tests.command import (
    BRIEF,
    LOOPBACK,
    NOT_THERE,
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
from tests.faults.conftest import HOOKS


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
        *SMALL, "--trials", "4", "--max-rounds", "2", "--sampler", "tpe", "--out", "out",
        "--checkpoint", "student.bin", "--allocations", "uniform", "global",
    )  # fmt: skip
    wait_for_output(process, "front:")
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
        "--cost", "macs",
    )  # fmt: skip
    wait_for_output(process, "Left out 1 of 26 images")
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
    front = pd.read_csv(folder / "pareto.csv")
    assert front["test_accuracy"].isna().all()
    assert front["macs"].is_monotonic_increasing
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{folder / 'study.db'}")
    assert study.metric_names == ["val_accuracy", "macs"]
    assert {trial.values[1] for trial in study.trials} <= set(table["macs"])


@pytest.fixture
def four_declared_gpus(command: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a cluster of four GPUs and two cores, whose workers say where they are."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", NOT_THERE)
    monkeypatch.setenv("PYTHONPATH", str(HOOKS))
    monkeypatch.setenv("FAULT_PLACES", str(command.folder / "places"))
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 4}, shutdown_at_exit=False
    )
    yield cluster.address
    cluster.shutdown()


def at_once(places: Path) -> dict[str, set[str]]:
    """The processes that were in a round on each GPU at a moment when the most were in one."""
    events = []
    for line in places.read_text().splitlines():
        process, gpu, start, end = line.split()
        events += [(float(start), 1, process, gpu), (float(end), 0, process, gpu)]
    busy: set[tuple[str, str]] = set()
    most: set[tuple[str, str]] = set()
    for _, starts, process, gpu in sorted(events):
        (busy.add if starts else busy.discard)((process, gpu))
        most = max(most, set(busy), key=len)
    return {gpu: {process for process, on in most if on == gpu} for _, gpu in most}


@pytest.mark.parametrize(
    ("gpus", "shares", "workers"),
    [(1, 2, 2), (4, 1, 4)],
)
@pytest.mark.slow
def test_trials_are_distributed_over_a_clusters_gpus(
    command: Command, four_declared_gpus: str, gpus: int, shares: int, workers: int
) -> None:
    """Ray hands out what a cluster declares, whether this machine has such a card or not.

    Where GPUs train, there may be more workers than cores.
    """
    done = command(
        *BRIEF, "--address", four_declared_gpus, "--gpus", str(gpus), "--trials-per-gpu",
        str(shares), "--trials", str(4 * workers), "--out", "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = command.folder / "out"
    assert states(folder) == [TrialState.COMPLETE] * 4 * workers
    hardware = json.loads((folder / "search.json").read_text())["hardware"]
    assert (hardware["gpus"], hardware["workers"]) == (gpus, workers)
    places = at_once(command.folder / "places")
    assert [len(processes) for processes in places.values()] == [shares] * gpus


@pytest.mark.slow
def test_trials_share_a_private_rays_gpu(tmp_path: Path, packs: Path) -> None:
    """One that is not there, and that Ray hands out under its own name."""
    places = tmp_path / "places"
    command = Command(
        tmp_path, packs, CUDA_VISIBLE_DEVICES="999", FAULT_GPUS="1",
        FAULT_PLACES=str(places), PYTHONPATH=str(HOOKS),
    )  # fmt: skip
    done = command(*BRIEF, "--trials-per-gpu", "3", "--trials", "12", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "on 3 worker(s)" in done.stdout
    ((gpu, processes),) = at_once(places).items()
    assert (gpu, len(processes)) == ("999", 3)


@pytest.mark.slow
def test_what_a_cluster_does_not_have_is_refused_or_left_out(
    command: Command, four_declared_gpus: str
) -> None:
    refused = command(*BRIEF, "--address", four_declared_gpus, "--gpus", "5")
    assert refused.returncode == 2
    assert "--gpus 5 was asked for, but there are 4" in refused.stderr
    refused = command(*BRIEF, "--address", four_declared_gpus, "--gpus", "1", "--workers", "2")
    assert refused.returncode == 2
    assert "--workers 2" in refused.stderr
    done = command(
        *BRIEF, "--address", four_declared_gpus, "--gpus", "0", "--workers", "3",
        "--trials", "2", "--out", "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no free cores for 1 more worker(s)" in done.stdout


def test_cards_on_which_cuda_cannot_start_are_refused_or_left_alone(
    here: Here, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under a driver that is too old: cards are listed, and all else fails."""
    shutil.copytree(finished, Path("out"))

    def start() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "_lazy_init", start)
    for arguments in (["--out", "new"], ["--gpus", "2"], ["--resume", "out"]):
        done = here(*arguments)
        assert done.returncode == 2, done.stderr
        assert "driver on your system is too old" in done.stderr
        assert "--gpus 0" in done.stderr
        assert len(done.stderr.splitlines()) == 2
    assert [path.name for path in Path.cwd().iterdir()] == ["out"]
    assert here("--resume", "out", "--gpus", "0").returncode == 0


def test_a_search_keeps_its_precision(here: Here, finished: Path) -> None:
    """Also one of before it was kept: that which its first device had."""
    folder = shutil.copytree(finished, Path("out"))
    file = folder / "search.json"
    assert json.loads(file.read_text())["config"]["precision"] == "fp32"
    refused = here("--resume", "out", "--precision", "bf16")
    assert refused.returncode == 2
    assert "with --precision fp32, not with --precision bf16" in refused.stderr
    for device_type, precision in (("cuda", "bf16"), ("cpu", "fp32")):
        description = json.loads(file.read_text())
        description["config"]["precision"] = None
        description["hardware"]["device_type"] = device_type
        file.write_text(json.dumps(description))
        assert here("--resume", "out").returncode == 0
        assert json.loads(file.read_text())["config"]["precision"] == precision


@pytest.mark.slow
def test_a_checkpoint_with_its_classes_in_another_order_is_doubted(
    command: Command, finished: Path
) -> None:
    root = pd.read_csv(finished / "candidates.csv").iloc[0]
    state = safetensors.torch.load_file(finished / "stages" / root["stage"] / "model.safetensors")
    turned = {name: state[name].roll(1, 0) for name in ("fc.0.weight", "fc.0.bias")}
    torch.save(state | turned, command.folder / "turned.bin")
    done = command(*SMALL, "--trials", "1", "--checkpoint", "turned.bin")
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
