"""The command as people run it: a process of its own, with folders of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from pruning import stage_ids

RUN = Path(__file__).parents[1] / "search" / "run.py"
BRIEF = ("--image-size", "16", "--root-epochs", "1", "--epochs", "1", "2")
SMALL = (*BRIEF, "--workers", "2")
GIVEN = ("--image-size", "16", "--epochs", "1", "2", "--workers", "2")
"""Of a search whose root is given."""
TRIALS = 6
LOOPBACK = "0100007F"
NOT_THERE = "996,997,998,999"
"""CUDA_VISIBLE_DEVICES of a Ray that declares GPUs, whatever this machine has."""

Here = Callable[..., subprocess.CompletedProcess[str]]
"""Runs the command in the test's own process."""


class Command:
    """Runs the command in a folder of its own, on the CPU.

    Args:
        folder: The current folder of the runs.
        cache: Where images are packed.
        environment: Further variables of the runs.
    """

    def __init__(self, folder: Path, cache: Path, **environment: str) -> None:
        self.folder = folder
        own = {"XDG_CACHE_HOME": str(cache), "CUDA_VISIBLE_DEVICES": ""}
        self.environment = {**os.environ, **own, **environment}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(RUN), *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


def states(folder: Path) -> list[TrialState]:
    """The states of a search's trials, as Optuna reads them."""
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{folder / 'study.db'}")
    return [trial.state for trial in study.trials]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def wait_for_output(process: subprocess.Popen[str], beginning: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return
    pytest.fail(f"the command ended without {beginning!r}")


def wait_for_stages(folder: Path, count: int, timeout: float = 120) -> None:
    """Wait until a search's folder holds so many networks."""
    deadline = time.monotonic() + timeout
    stages = folder / "stages"
    while not stages.is_dir() or len(stage_ids(stages)) < count:
        if time.monotonic() > deadline:
            pytest.fail(f"{folder} has no {count} networks after {timeout:g} s")
        time.sleep(0.1)


def processes(session: int) -> dict[int, str]:
    """Process ids and commands of a session, which a run started and whose id is the run's."""
    return {pid: command for pid, _, command in _listed(session)}


def in_group(session: int) -> list[str]:
    """The commands of a session that a signal to the run's group would reach."""
    return [command for _, group, command in _listed(session) if group == session]


def _listed(session: int) -> Iterator[tuple[int, int, str]]:
    """Process id, group and command of what lives in a session."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid,pgid,sid,stat,args"],  # whole, whatever COLUMNS says
        capture_output=True,
        text=True,
        check=True,
    )
    for line in listed.stdout.splitlines()[1:]:
        pid, group, sid, state, command = line.split(None, 4)
        if int(sid) == session and "Z" not in state:
            yield int(pid), int(group), command


def listeners(session: int) -> dict[str, set[str]]:
    """The commands of a session, and the addresses at which they listen, as the kernel writes
    them: in hexadecimal, LOOPBACK at the end for 127.0.0.1."""
    addresses = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A":
                addresses[f"socket:[{inode}]"] = local.partition(":")[0]
    return {
        command: {
            addresses[target]
            for link in Path(f"/proc/{pid}/fd").iterdir()
            if (target := str(link.readlink())) in addresses
        }
        for pid, command in processes(session).items()
    }


def wait_until_gone(session: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while left := processes(session):
        if time.monotonic() > deadline:
            pytest.fail(f"processes are left: {left}")
        time.sleep(0.2)
