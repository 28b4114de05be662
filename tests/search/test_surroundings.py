"""The command in whatever it is started from: folders, streams, terminals, variables."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState

from search.command import main
from tests.command import (
    RUN,
    SMALL,
    Command,
    Here,
    states,
)


def test_a_search_needs_little_of_where_it_is_started(tmp_path: Path, packs: Path) -> None:
    """No standard streams, no home, a scratch path too long for sockets, others' settings.

    And files that bear our names and libraries' are in nobody's way, for driver and workers,
    neither where a search is started nor on PYTHONPATH.
    """
    elsewhere, scratch = tmp_path / "elsewhere", tmp_path / ("x" * 90)
    scratch.mkdir()
    for folder in (tmp_path, elsewhere):
        for name in ("data", "models", "pruning"):
            (folder / name).mkdir(parents=True)
            (folder / name / "__init__.py").touch()
        (folder / "search.py").write_text("raise SystemExit('not ours')")
    for name in ("numpy", "ray", "torch", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not theirs')")
    surroundings = {
        "TUNE_RESULT_DIR": "nowhere",
        "RAY_AIR_LOCAL_CACHE_DIR": "nowhere",
        "RAY_AUTH_TOKEN_PATH": "nowhere",
        "RAY_ADDRESS": "127.0.0.1:1",
        "HOME": "/nowhere",
        "TMPDIR": str(scratch),
        "PYTHONPATH": str(elsewhere),
    }
    search = shlex.join([sys.executable, str(RUN), *SMALL, "--trials", "2", "--out", "out"])
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {search} <&- >&- 2>&-"],
        cwd=tmp_path,
        check=False,
        env={**Command(tmp_path, packs).environment, **surroundings},
    )
    assert done.returncode == 0
    assert states(tmp_path / "out") == [TrialState.COMPLETE] * 2


def test_a_user_without_account_and_home_has_the_root_as_containers_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    with pytest.raises(RuntimeError, match="home"):
        Path.home()
    with pytest.raises(SystemExit):
        main(["--help"])
    assert Path.home() == Path("/")


@pytest.mark.parametrize("script", ["run.py", "checkup.py"])
def test_a_reader_of_the_help_may_leave(command: Command, script: str) -> None:
    help_ = shlex.join([sys.executable, str(RUN.with_name(script)), "--help"])
    done = subprocess.run(
        ["/bin/bash", "-c", f"{help_} | head -c 10; exit ${{PIPESTATUS[0]}}"],
        env=command.environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")


def test_an_interpreter_without_docstrings_is_refused_in_words(command: Command) -> None:
    done = Command(command.folder, command.folder, PYTHONOPTIMIZE="2")("--trials", "1")
    assert done.returncode == 2
    assert "Unset PYTHONOPTIMIZE" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_a_checkpoint_may_lie_in_the_user_s_home(
    here: Here, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    done = here("--checkpoint=~/absent.bin")
    assert done.returncode == 2
    assert str(tmp_path / "absent.bin") in done.stderr


def test_help_fits_the_narrowest_terminal(tmp_path: Path) -> None:
    done = Command(tmp_path, tmp_path, COLUMNS="1")("--help")
    assert done.returncode == 0
    assert "--max-epochs" in done.stdout


def test_help_shows_every_flag(command: Command) -> None:
    done = command("--help")
    assert done.returncode == 0
    for flag in ("--data", "--trials-per-gpu", "--sampler", "--resume", "--address", "--seed"):
        assert flag in done.stdout
