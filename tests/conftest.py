"""What tests of the command share: one cache of packed images, and one finished search."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

from search.command import main
from search.interruption import heeded
from tests.command import SMALL, TRIALS, Command, Here

settings.register_profile("shared-machine", deadline=None, max_examples=50)
settings.load_profile("shared-machine")
torch.set_num_threads(1)


# Tests may be started to ignore these, as background jobs are; so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--share",
        type=_share,
        default=(1, 1),
        metavar="I/N",
        help="run the I-th of N shares of the selected tests",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    share, shares = config.getoption("--share")
    config.hook.pytest_deselected(
        items=[item for place, item in enumerate(items) if place % shares != share - 1]
    )
    items[:] = items[share - 1 :: shares]


def _share(text: str) -> tuple[int, int]:
    share, shares = map(int, text.split("/"))
    if not 1 <= share <= shares:
        raise ValueError(text)
    return share, shares


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache in which searches find their images packed."""
    return tmp_path_factory.mktemp("packs")


@pytest.fixture
def command(tmp_path: Path, packs: Path) -> Command:
    return Command(tmp_path, packs)


@pytest.fixture
def here(
    tmp_path: Path,
    packs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Here]:
    """The command in this process and an empty folder: for what ends before Ray would start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(packs))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)  # once CUDA has started it is kept

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = main(arguments)
        output, errors = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, output, errors)

    before = {number: signal.getsignal(number) for number in heeded()}
    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, packs: Path) -> Path:
    """A finished search; look at it and copy it, but change nothing.

    One for all processes that tests run in.
    """
    home = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        home = home.parent
    with FileLock(home / "finished.lock"):
        if not (kept := home / "finished").exists():
            kept.write_text(str(_finished(Command(tmp_path_factory.mktemp("finished"), packs))))
    return Path(kept.read_text())


def _finished(command: Command) -> Path:
    done = command(*SMALL, "--trials", str(TRIALS))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "root: accuracy" in done.stdout
    assert f"Done: {TRIALS} trials (0 stopped early, 0 failed)" in done.stdout
    return command.folder / "results" / "digits"
