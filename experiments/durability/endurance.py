"""What is lost when a search is killed a hundred times.

    python -m experiments.durability.endurance --trials 60 --kills 100

Runs a search once undisturbed. Then runs it again, sends the driver SIGKILL at random moments,
resumes, and so on; the last run is left to finish. Every other kill falls while the run starts: at
any moment in the time that the undisturbed one took to its first round. The rest wait until the
run has begun a round, and fall within some seconds of work, however slow the machine. Reports
kills and resumes, trials lost, stuck or asked for twice, rounds that were trained again, and the
seconds that a kill cost. The result of a run is kept beside this script as endurance.txt.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from pruning import StageStore
from search.campaign.ledger import Ledger
from search.kept import from_record
from search.results.folder import ResultsFolder

_ROOT = Path(__file__).parents[2]
_RUN = _ROOT / "search" / "run.py"
_HOOKS = _ROOT / "tests" / "faults" / "hooks"  # count the rounds that are started
_SETTINGS = ("--root-epochs", "3", "--epochs", "8", "--image-size", "32")


@dataclass(frozen=True, kw_only=True, slots=True)
class Endurance:
    """Kill a search again and again, and count what is lost."""

    trials: int = 60
    """Trials of the search."""
    kills: int = 100
    """SIGKILLs of the driver."""
    work: float = 12.0
    """Seconds of work in which a run that has begun a round is killed, at the latest."""
    seed: int = 0
    """Of the moments."""


def main() -> None:
    """Run the experiment and print what came of it."""
    asked = tyro.cli(Endurance)
    with tempfile.TemporaryDirectory() as scratch:
        calm, rough = Path(scratch, "calm"), Path(scratch, "rough")
        start = time.monotonic()
        undisturbed = _start(calm, asked, Path(scratch, "calm.txt"))
        _wait_for_round(undisturbed, Path(scratch, "calm.txt"), 0)
        start_up = time.monotonic() - start
        undisturbed.wait()
        calm_seconds = time.monotonic() - start
        trace = Path(scratch, "rough.txt")
        start = time.monotonic()
        kills = _tormented(rough, asked, trace, start_up)
        rough_seconds = time.monotonic() - start
        _report(asked, rough, trace, kills, calm_seconds, rough_seconds)


@dataclass(slots=True)
class Kills:
    """How many kills fell at which moments."""

    starting: int = 0
    working: int = 0

    def __str__(self) -> str:
        return f"{self.starting + self.working} kills"


def _start(folder: Path, asked: Endurance, trace: Path) -> subprocess.Popen[bytes]:
    search = ("--trials", str(asked.trials), *_SETTINGS)
    started = ResultsFolder(folder).is_search()
    place = ("--resume", str(folder)) if started else ("--out", str(folder), *search)
    return subprocess.Popen(
        [sys.executable, str(_RUN), *place],
        env={**os.environ, "PYTHONPATH": str(_HOOKS), "FAULT_TRACE": str(trace)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def _rounds_begun(trace: Path) -> int:
    return len(trace.read_text().splitlines()) if trace.exists() else 0


def _wait_for_round(run: subprocess.Popen[bytes], trace: Path, before: int) -> None:
    """Until a run has begun a round, or has ended."""
    while _rounds_begun(trace) == before and run.poll() is None:
        time.sleep(0.05)


def _tormented(folder: Path, asked: Endurance, trace: Path, start_up: float) -> Kills:
    """Kill runs of a search as often as asked, then let it finish."""
    moments = random.Random(asked.seed)  # noqa: S311
    kills = Kills()
    for turn in range(asked.kills):
        before = _rounds_begun(trace)
        run = _start(folder, asked, trace)
        working = turn % 2 == 1
        if working:
            _wait_for_round(run, trace, before)
        try:
            run.wait(moments.uniform(0, asked.work if working else start_up))
            return kills  # finished before its moment came
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()
        if _rounds_begun(trace) > before:
            kills.working += 1
        else:
            kills.starting += 1
        print(f"\r{kills}", end="", file=sys.stderr, flush=True)
    _start(folder, asked, trace).wait()
    print(file=sys.stderr)
    return kills


def _report(
    asked: Endurance, folder: Path, trace: Path, kills: Kills, calm: float, rough: float
) -> None:
    description = ResultsFolder(folder).read()
    config = from_record(description["config"])
    space = config.space()
    trials, store = list(Ledger(folder / "study.db", space)), StageStore(folder / "stages")
    schedules = [trial.schedule for trial in trials]
    again = _rounds_begun(trace) - len(store)
    count = kills.starting + kills.working
    lines = {
        "hardware": json.dumps(description["hardware"]),
        "kills and resumes": count,
        "  before the run had begun a round": kills.starting,
        "  after": kills.working,
        "trials asked for, in the ledger": f"{asked.trials}, {len(trials)}",
        "trials stuck in state RUNNING": sum(trial.running for trial in trials),
        "trials failed": sum(trial.failed for trial in trials),
        "schedules asked for twice": len(schedules) - len(set(schedules)),
        "stages whole": sum(bool(store.weights(stage.id)) for stage in store),
        "rounds trained again": again,
        "  of rounds begun": _rounds_begun(trace),
        "  a kill at work (at most the workers' number)": f"{again / max(kills.working, 1):.2f}",
        "seconds undisturbed": f"{calm:.0f}",
        "seconds in all": f"{rough:.0f}",
        "seconds lost a kill": f"{(rough - calm) / max(count, 1):.1f}",
        "files left over": len(list(folder.rglob(".unfinished-*"))),
    }
    for name, value in lines.items():
        print(f"{name + ':':50}{value}")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
