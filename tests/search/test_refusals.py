"""What the command refuses: in words, and with nothing changed."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from models import StudentNet
from search.results.folder import ResultsFolder
from tests.command import (
    Command,
    Here,
    snapshot,
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume", "nowhere"], "holds no search"),
        (["--rates", "1.5"], "--rates"),
        (["--trials", "0"], "--trials"),
        (["--image-size", "8"], "--image-size"),
        (["--gpus", "99"], "there are"),
        (["--gpus", "0", "--trials-per-gpu", "2"], "--trials-per-gpu 2 is how many trials share"),
        (["--data", "nowhere"], "nowhere"),
        (["--resume", "/dev/null"], "holds no search"),
        (["--out", "x" * 300], "name too long"),
        (["--address", "127.0.0.1:1"], "no Ray cluster"),
        (["--address", "auto"], "no Ray cluster at --address auto, which is "),
        (["--address", "nonsense"], "no Ray cluster"),
        (["--address", "127.0.0.1:99999"], "no Ray cluster"),
        (["--out", "~nobody-at-all/x"], "no such user"),
        (["--resume", "~nobody-at-all/x"], "no such user"),
        (["--checkpoint", os.fsdecode(b"\xff.bin")], r"'\udcff.bin' is no text in UTF-8"),
        ([os.fsdecode(b"--data=\xff")], r"'--data=\udcff' is no text in UTF-8"),
        (["--checkpoint", os.devnull], "not a file"),
    ],
)
def test_refusals_are_short_and_change_nothing(
    here: Here, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:2")
    done = here(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert all(line.startswith("Images: ") for line in done.stdout.splitlines())
    assert list(Path.cwd().iterdir()) == []


def test_a_folder_whose_name_is_no_text_is_refused(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    monkeypatch.chdir(folder)
    done = here("--trials", "1")
    assert done.returncode == 2
    assert r"\udcff' is no text in UTF-8" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_gone_is_refused(here: Here) -> None:
    folder = Path.cwd() / "gone"
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()
    done = here("--trials", "1")
    assert done.returncode == 2
    assert done.stderr == "The current folder is gone; start from another one.\n"


def test_refusals_leave_a_search_as_it_is(here: Here, finished: Path) -> None:
    before = snapshot(finished)
    for arguments in (
        ["--out", str(finished)],
        ["--resume", str(finished), "--seed", "1"],
        ["--resume", str(finished), "--data", "nowhere"],
        ["--resume", str(finished), "--gpus", "99"],
    ):
        done = here(*arguments)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.splitlines()) <= 2
    assert snapshot(finished) == before


@pytest.mark.parametrize(("name", "before"), [("version", 0), ("weight_decay", 0.5)])
def test_a_search_of_another_recipe_is_refused(
    here: Here, finished: Path, name: str, before: float
) -> None:
    folder = shutil.copytree(finished, Path("out"))
    description = json.loads((folder / "search.json").read_text())
    description["recipe"][name] = before
    (folder / "search.json").write_text(json.dumps(description))
    content = snapshot(folder)
    done = here("--resume", "out", "--trials", "9")
    assert done.returncode == 2
    assert f"another recipe: its {name} was {before}, and is now " in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert snapshot(folder) == content


def test_a_refusal_as_people_see_it(command: Command) -> None:
    done = command("--data", "nowhere", "--out", "out")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "nowhere" in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert list(command.folder.iterdir()) == []


def test_a_folder_that_another_driver_holds_is_refused(finished: Path, here: Here) -> None:
    out = shutil.copytree(finished, Path("out"))
    with ResultsFolder(out).locked(resume=True):
        before = snapshot(out)
        done = here("--resume", "out", "--trials", "9")
        assert snapshot(out) == before
    assert done.returncode == 2
    assert "Another run is working" in done.stderr


def test_checkpoints_that_do_not_fit_are_refused(here: Here) -> None:
    torch.save(
        StudentNet(channels=[4, 4, 4, 1, 1, 1, 1, 4], num_classes=10).state_dict(),
        Path("narrow.bin"),
    )
    (Path("text.bin")).write_text("weights")
    before = snapshot(Path.cwd())
    for name, message in (
        ("narrow.bin", "no channel left"),
        ("text.bin", "text.bin"),
        ("absent.bin", "absent.bin"),
    ):
        done = here("--checkpoint", name, "--image-size", "16", "--prune", "notebook")
        assert done.returncode == 2, name
        assert message in done.stderr
        assert len(done.stderr.splitlines()) <= 2
    assert snapshot(Path.cwd()) == before
