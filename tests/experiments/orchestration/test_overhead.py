import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import copyfile
from tempfile import gettempdir

import pytest
import torch

from data import DataSource, PackedImages, open_data
from experiments.orchestration import overhead
from experiments.orchestration.idle import Idle, all_up
from experiments.orchestration.overhead import Overhead
from experiments.orchestration.sleeping import SleepingPlan, SleptRound, read_trace
from models import student_channels
from pruning import Origin, Recipe, Round, StageStore, StudentArchitecture
from search.workers.worker import WorkerPlan

ROOT = Path(__file__).parents[3]


def slept(process: int, start: float, end: float) -> SleptRound:
    return SleptRound(process=process, start=start, end=end)


def test_idle_time_is_what_no_round_covers() -> None:
    """Two workers over ten seconds, one round of each reaching over an edge."""
    rounds = [slept(1, -2.0, 2.0), slept(1, 3.0, 7.0), slept(2, 0.0, 4.0), slept(2, 8.0, 12.0)]
    idle = Idle.between(0.0, 10.0, rounds, workers=2)
    assert idle.rounds == 0.5 + 1 + 1 + 0.5
    assert idle.idle_seconds == 20 - 12
    assert idle.share == pytest.approx(0.4)
    assert idle.seconds_a_round == pytest.approx(8 / 3)


def test_rounds_without_gaps_are_no_overhead() -> None:
    rounds = [slept(1, float(at), float(at + 1)) for at in range(5)]
    assert Idle.between(0.0, 5.0, rounds, workers=1).seconds_a_round == 0


def test_a_worker_that_never_came_is_idle() -> None:
    assert Idle.between(0.0, 4.0, [slept(1, 0.0, 4.0)], workers=4).share == pytest.approx(0.75)


def test_a_stretch_has_a_length() -> None:
    with pytest.raises(ValueError, match="no length"):
        Idle.between(1.0, 1.0, [], workers=1)


def test_all_are_up_when_the_last_process_begins_its_first_round() -> None:
    rounds = [slept(1, 0.0, 1.0), slept(1, 2.0, 3.0), slept(2, 5.0, 6.0), slept(1, 7.0, 8.0)]
    assert all_up(rounds, workers=2) == 5.0
    assert all_up(rounds, workers=3) is None


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], SleepingPlan]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = open_data(DataSource(data="digits", image_size=16))
    channels = student_channels()
    awake = WorkerPlan(
        images=PackedImages.of(data),
        architecture=StudentArchitecture(channels=channels, num_classes=10),
        origin=Origin(
            recipe=Recipe(),
            seed=0,
            data_fingerprint=data.fingerprint,
            root={"channels": list(channels), "num_classes": 10},
            device_type="cpu",
        ),
    )
    (tmp_path / "trace").mkdir()
    return lambda seconds: SleepingPlan.of(awake, round_seconds=seconds, trace=tmp_path / "trace")


def test_slept_rounds_are_stages_that_a_store_accepts(
    plan: Callable[[float], SleepingPlan], tmp_path: Path
) -> None:
    runner = plan(0.05).runner(torch.device("cpu"), copyfile)
    store = StageStore(tmp_path / "stages")
    root = store.commit(*runner.root(), trial=0)
    round_ = Round(rate=0.5, epochs=1, lr=1e-3)
    child = store.commit(*runner.child(root, store.weights(root.id), round_), trial=0)
    assert store.child(root.id, round_) == child
    assert child.params < root.params
    assert len(store.weights(root.id)) == 4 * root.params
    first, second = read_trace(tmp_path / "trace")
    assert first.process == second.process
    assert first.end <= second.start
    assert min(first.seconds, second.seconds) >= 0.05


def test_too_many_workers_for_the_memory_are_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["overhead.py", "--workers", "2", "--cold-starts", "0", "--worker-gib", "1e9"]
    monkeypatch.setattr(sys, "argv", [*flags, "--samplers", "random"])
    overhead.main()
    assert "2 workers, random: skipped, they need about 2000000000 GiB" in capsys.readouterr().out


def test_samplers_of_whole_schedules_get_fewer_trials() -> None:
    asked = Overhead(rounds=6)
    assert [asked.config(name, 4).trials for name in ("stage-tree", "tpe")] == [24, 8]


@pytest.mark.slow
def test_workers_are_kept_and_the_dead_replaced(tmp_path: Path) -> None:
    """Rounds end together and are far shorter than a worker's start.

    Ray Tune by itself ends all workers but one or two then, and never has others started.
    """
    flags = ("--workers", "3", "--samplers", "stage-tree", "--seconds", "0.4", "--rounds", "40")
    search = subprocess.Popen(
        [sys.executable, "-m", overhead.__name__, *flags, "--cold-starts", "0"],
        cwd=ROOT,
        env={
            **os.environ,
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "RAY_TMPDIR": gettempdir(),  # its sockets' paths must not be long
            "TMPDIR": str(tmp_path),
        },
    )
    rounds: dict[int, int] = {}
    victim = None
    try:
        while search.poll() is None:
            for trace in tmp_path.glob("*/trace/*"):
                with suppress(FileNotFoundError):  # removed in the end
                    rounds[int(trace.name)] = len(trace.read_text().splitlines())
            if victim is None and len(rounds) == 3 and min(rounds.values()) > 1:
                victim = min(rounds)
                os.kill(victim, signal.SIGKILL)
            time.sleep(0.1)
    finally:
        search.kill()
    assert search.returncode == 0
    assert len(rounds) == 4
    assert victim is not None
    del rounds[victim]
    assert min(rounds.values()) > max(rounds.values()) / 10


@pytest.mark.slow
def test_a_search_of_sleeping_rounds(tmp_path: Path) -> None:
    """As people run it: Ray's workers find what they import in the current folder."""
    flags = ("--workers", "2", "--samplers", "stage-tree", "--seconds", "0.2", "--rounds", "8")
    done = subprocess.run(
        [sys.executable, "-m", overhead.__name__, *flags, "--cold-starts", "0"],
        cwd=ROOT,
        check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "2 workers, stage-tree: 2 processes\n" in done.stdout
    steady = re.search(r"steady: +([0-9.]+)% of worker time, ([0-9.]+) s a round", done.stdout)
    whole = re.search(r"in all: +([0-9.]+)% of .*\((\d+) rounds", done.stdout)
    assert steady is not None
    assert whole is not None
    assert 0 < float(steady[1]) < float(whole[1]) < 100
    assert int(whole[2]) == 17  # one of each trial, and the root's
