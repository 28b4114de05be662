"""Breaking what a search stands on: its processes, its disk, its files."""

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest
from psutil import virtual_memory
from ray.cluster_utils import Cluster

from pruning import stage_ids
from tests.command import (
    SMALL,
    TRIALS,
    Command,
    Here,
    processes,
    snapshot,
    states,
    wait_for_output,
    wait_for_stages,
    wait_until_gone,
)
from tests.faults.invariants import assert_whole

SEARCH = (*SMALL, "--trials", str(TRIALS), "--out", "out")


@pytest.fixture
def out(command: Command) -> Path:
    return command.folder / "out"


def resume_and_check(command: Command | Here, out: Path, *, damaged: bool = False) -> str:
    done = command("--resume", "out")
    assert done.returncode == 0, done.stderr
    assert_whole(out, TRIALS, damaged=damaged)
    return done.stdout


def to_each(session: int, number: int) -> None:
    """Send a signal to every process of a run, as a scheduler's notice of a job's end may be."""
    for pid in processes(session):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@pytest.mark.parametrize(
    ("send", "number", "times"),
    [
        pytest.param(to_each, signal.SIGUSR1, 1, id="SIGUSR1-to-each", marks=pytest.mark.slow),
        pytest.param(os.kill, signal.SIGTERM, 1, id="SIGTERM", marks=pytest.mark.slow),
        pytest.param(os.killpg, signal.SIGINT, 1, id="SIGINT-to-all", marks=pytest.mark.slow),
        pytest.param(os.kill, signal.SIGINT, 2, id="SIGINT-twice", marks=pytest.mark.slow),
    ],
)
def test_a_signal_is_a_clean_end(
    command: Command,
    out: Path,
    send: Callable[[int, int], None],
    number: signal.Signals,
    times: int,
) -> None:
    process = command.start(*SEARCH)
    wait_for_output(process, "root:")
    sent = time.monotonic()
    for _ in range(times):
        send(process.pid, number)
        time.sleep(0.05)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors + output
    assert time.monotonic() - sent < 30  # a hang, not a speed, is what this would show
    assert "--resume out" in output
    assert errors == ""
    wait_until_gone(process.pid)
    resume_and_check(command, out)


@pytest.mark.slow
def test_what_a_search_was_started_to_ignore_does_not_end_it(tmp_path: Path, packs: Path) -> None:
    """As `nohup` has it when a terminal is closed, and a shell with its background jobs."""
    command = Command(tmp_path, packs)
    ignored = (signal.SIGHUP, signal.SIGINT)
    before = [signal.signal(number, signal.SIG_IGN) for number in ignored]
    try:
        process = command.start(*SEARCH)
    finally:
        for number, handler in zip(ignored, before, strict=True):
            signal.signal(number, handler)
    wait_for_output(process, "root:")
    for number in ignored:
        os.killpg(process.pid, number)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors + output
    assert_whole(tmp_path / "out", TRIALS)


@pytest.mark.slow
def test_workers_that_the_memory_monitor_kills_are_bad_luck(tmp_path: Path, packs: Path) -> None:
    memory = virtual_memory()
    if memory.available < 12 * 2**30:
        pytest.skip("needs 12 GB of free memory")
    threshold = 1 - (memory.available - 5 * 2**30) / memory.total
    monitor = {
        "RAY_memory_usage_threshold": f"{threshold:.4f}",
        "RAY_memory_monitor_refresh_ms": "50",
    }
    process = Command(tmp_path, packs, **monitor).start(*SEARCH)
    wait_for_output(process, "root:")
    workers = [pid for pid, name in processes(process.pid).items() if name.startswith("ray::Res")]
    ballast = bytearray(b"x") * (7 * 2**30)
    deadline = time.monotonic() + 20
    while set(workers) <= set(processes(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    killed = not set(workers) <= set(processes(process.pid))
    del ballast
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors + output
    assert killed
    assert_whole(tmp_path / "out", TRIALS)


@pytest.mark.parametrize("module", ["torch", pytest.param("tyro", marks=pytest.mark.slow)])
def test_a_signal_while_modules_are_imported_is_a_silent_end(
    tmp_path: Path, packs: Path, module: str
) -> None:
    process = Command(tmp_path, packs, PYTHONVERBOSE="1").start(*SEARCH)
    assert process.stderr is not None
    for line in process.stderr:
        if f"/{module}/" in line:
            break
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors + output
    assert output == ""
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("victim", "survives"),
    [
        pytest.param("ray::ScheduleTr", True, id="idle-worker", marks=pytest.mark.slow),
        pytest.param("ray::ResourceTr", True, id="worker", marks=pytest.mark.slow),
        pytest.param("ray::StoreActor", True, id="store", marks=pytest.mark.slow),
        pytest.param("raylet/raylet", False, id="raylet", marks=pytest.mark.slow),
        pytest.param("gcs/gcs_server", False, id="gcs", marks=pytest.mark.slow),
    ],
)
def test_processes_of_ray_that_are_killed(
    command: Command, out: Path, victim: str, survives: bool
) -> None:
    """Workers and the store come back within the run; without Ray's daemons it ends."""
    process = command.start(*SEARCH)
    wait_for_output(process, "root:")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        victims = [pid for pid, name in processes(process.pid).items() if victim in name]
        if victims:
            os.kill(victims[0], signal.SIGKILL)
            break
    else:
        pytest.fail(f"no process {victim}")
    _, errors = process.communicate(timeout=280)
    if survives:
        assert process.returncode == 0, errors
        assert_whole(command.folder / "out", TRIALS)
    else:
        assert process.returncode == 2
        assert errors.splitlines() == [
            f"Ray failed: its {victim.partition('/')[2]} has died.",
            "Go on with: python search/run.py --resume out",
        ]
    resume_and_check(command, out)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["raylet", "gcs_server"])
def test_daemons_of_a_cluster_that_are_killed(command: Command, victim: str) -> None:
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 0}, shutdown_at_exit=False
    )
    try:
        process = command.start(*SEARCH, "--address", cluster.address)
        wait_for_output(process, "root:")
        (daemon,) = cluster.head_node.all_processes[victim]
        daemon.process.kill()
        _, errors = process.communicate(timeout=120)
    finally:
        cluster.shutdown()
    assert process.returncode == 2
    assert f"Ray failed: its {victim} has died." in errors
    assert errors.splitlines()[-1] == "Go on with: python search/run.py --resume out"
    done = command("--resume", "out", "--address", "local")
    assert done.returncode == 0, done.stderr
    assert_whole(command.folder / "out", TRIALS)


@pytest.mark.slow
def test_orphans_of_a_killed_driver_do_not_disturb_the_next(command: Command, out: Path) -> None:
    process = command.start(*SEARCH)
    wait_for_output(process, "root:")
    orphans = [pid for pid, name in processes(process.pid).items() if "ray::" in name]
    for pid in orphans:  # asleep, they outlive the driver; they wake while the next one runs
        os.kill(pid, signal.SIGSTOP)
    process.kill()
    process.communicate()
    made = len(stage_ids(command.folder / "out" / "stages"))
    resumed = command.start("--resume", "out")
    wait_for_stages(command.folder / "out", made + 1)
    for pid in orphans:
        if pid in processes(process.pid):
            os.kill(pid, signal.SIGCONT)
    _, errors = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, errors
    resume_and_check(command, out)


def test_damaged_stages_are_set_aside_and_trained_again(
    command: Command, finished: Path, out: Path
) -> None:
    """Files with a bit flipped, cut in half, and emptied."""
    shutil.copytree(finished, out)
    before = snapshot(out / "stages")
    damages = product(("model.safetensors", "stage.json"), range(3))
    for folder, (name, damage) in zip(sorted((out / "stages").iterdir()), damages, strict=False):
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes((content, content[: len(content) // 2], b"")[damage])
    shown = resume_and_check(command, out, damaged=True)
    assert shown.count("Set aside") == len(list((out / "stages").glob(".damaged-*"))) == 6
    for path, content in before.items():  # on one CPU, what is trained again is the same
        if path.endswith("model.safetensors"):
            assert Path(path).read_bytes() == content


def test_whatever_is_missing_comes_back(
    command: Command, here: Here, finished: Path, out: Path
) -> None:
    shutil.copytree(finished, out)
    tables = {name: (out / name).read_bytes() for name in ("pareto.csv", "candidates.csv")}
    for name in tables:
        (out / name).unlink()
    resume_and_check(here, out)
    assert {name: (out / name).read_bytes() for name in tables} == tables

    (out / "study.db").unlink()
    (out / ".lock").unlink()
    resume_and_check(here, out)
    assert {name: (out / name).read_bytes() for name in tables} == tables

    shutil.rmtree(out / "stages")
    moved = out.rename(command.folder / "moved")
    done = command("--resume", "moved")
    assert done.returncode == 0, done.stderr
    assert_whole(moved, TRIALS)


@pytest.mark.slow
def test_a_second_driver_is_refused_and_the_first_undisturbed(command: Command) -> None:
    process = command.start(*SEARCH)
    wait_for_output(process, "root:")
    process.send_signal(signal.SIGSTOP)  # or it could be done before the second one has begun
    second = command("--resume", "out")
    process.send_signal(signal.SIGCONT)
    assert second.returncode == 2
    assert "Another run is working" in second.stderr
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert_whole(command.folder / "out", TRIALS)


@pytest.fixture
def tiny_disk(command: Command) -> Iterator[Path]:
    """A disk with room for the full network and a round or two; needs the right to mount."""
    folder = command.folder / "out"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1700k", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_ends_a_run_and_loses_nothing(
    command: Command, out: Path, tiny_disk: Path
) -> None:
    done = command(*SEARCH)
    assert done.returncode == 2
    # In the system's words or in SQLite's, whichever writer comes to the end first.
    assert "No space left" in done.stderr or "disk is full" in done.stderr
    assert "--resume out" in done.stderr
    assert len(done.stderr.splitlines()) == 2, done.stderr
    subprocess.run(["mount", "-o", "remount,size=30m", str(tiny_disk)], check=True)
    resume_and_check(command, out)


def test_a_read_only_folder_is_refused(here: Here, finished: Path, tiny_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=30m", str(tiny_disk)], check=True)
    shutil.copytree(finished, tiny_disk, dirs_exist_ok=True)
    before = snapshot(tiny_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    for arguments in (("--resume", "out", "--trials", "9"), (*SMALL, "--out", "out/new")):
        done = here(*arguments)
        assert done.returncode == 2
        assert "cannot be written: Read-only file system" in done.stderr
        assert len(done.stderr.splitlines()) == 2, done.stderr
    assert snapshot(tiny_disk) == before


@pytest.mark.slow
def test_a_ledger_that_another_process_holds_ends_a_run(command: Command, out: Path) -> None:
    process = command.start(*SEARCH)
    wait_for_output(process, "root:")
    with sqlite3.connect(out / "study.db") as holder:
        holder.execute("BEGIN EXCLUSIVE")
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 2
        assert "database is locked" in errors
        assert "--resume out" in errors
    holder.close()
    resume_and_check(command, out)


@pytest.mark.slow
def test_rounds_that_diverge_fail_their_trials_and_end_a_run_that_has_no_other(
    command: Command, out: Path
) -> None:
    drawn = "--sampler", "random"  # stage-tree knows better than to ask for such a rate
    done = command(*SMALL, "--lrs", "1e30", "1e-3", *drawn, "--trials", "12", "--out", "out")
    assert done.returncode in (0, 2), done.stderr
    assert {state.name for state in states(out)} <= {"COMPLETE", "FAIL", "RUNNING"}
    assert "FAIL" in {state.name for state in states(out)}
    assert "nan" not in (out / "candidates.csv").read_text()
    done = command(*SMALL, "--lrs", "1e30", "--trials", "12", "--out", "all")
    assert done.returncode == 2
    assert "5 trials in a row failed" in done.stderr
    assert "diverged" in done.stderr
