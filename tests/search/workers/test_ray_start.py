"""What a private Ray is started with; with Ray itself in tests/search/test_surroundings.py."""

import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data import DataSource, open_data
from search.errors import RefusedError
from search.workers import ray_start
from search.workers.ray_start import check_room, join_ray
from tests.command import RUN, SMALL, Command

Head = Callable[..., str]


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how many processes another user than root may have."""

    def set_to(count: int) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
        monkeypatch.setattr(resource, "getrlimit", lambda _: (count, count))

    return set_to


def test_too_few_processes_are_refused_beforehand(limit: Callable[[int], None]) -> None:
    limit(150)
    with pytest.raises(RefusedError, match="ulimit -u"):
        check_room(2)
    limit(400)
    check_room(2)
    with pytest.raises(RefusedError, match="may start 400 more"):
        check_room(20)
    limit(resource.RLIM_INFINITY)
    check_room(20)


def test_threads_are_counted() -> None:
    assert ray_start._threads_of(os.geteuid()) >= 1
    assert ray_start._threads_of(4_000_000_000) == 0


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_ray_gets_a_folder_with_a_short_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    short, long = Path(tempfile.mkdtemp(dir="/tmp")), tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv(variable, str(short))
    assert ray_start._scratch() == short / "ray"
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv(variable, str(long))
    assert len(str(ray_start._scratch())) + len(ray_start._SESSION) <= 107
    short.joinpath("ray").rmdir()
    short.joinpath("ray").touch()  # another's, or no folder at all
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv(variable, str(short))
    assert ray_start._scratch() == short / f"ray-{os.geteuid()}"
    shutil.rmtree(short)


def test_without_any_folder_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_start, "_usable", lambda _: False)
    with pytest.raises(RefusedError, match="Set RAY_TMPDIR"):
        check_room(1)


@pytest.fixture
def head() -> Iterator[Head]:
    """Starts the head of a cluster, with a token or without; gives its address."""
    started: list[subprocess.Popen[bytes]] = []
    folders: list[str] = []

    def start(port: int, **settings: str) -> str:
        folders.append(tempfile.mkdtemp(dir="/tmp"))
        ray = Path(sys.executable).with_name("ray")
        process = subprocess.Popen(
            [ray, "start", "--head", "--block", "--port", str(port), "--num-cpus", "2",
             "--include-dashboard", "false", "--temp-dir", folders[-1]],
            env={**os.environ, **settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        started.append(process)
        deadline = time.monotonic() + 60
        while not list(Path(folders[-1]).glob("session_latest/sockets/raylet*")):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        return f"127.0.0.1:{port}"

    yield start
    for process in started:
        process.terminate()
    for process, folder in zip(started, folders, strict=True):
        process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_head_that_only_listens_on_loopback_is_refused() -> None:
    """Ray takes an address of loopback for this machine's own, and would try that for ever."""
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        with pytest.raises(RefusedError, match=f"no Ray cluster at --address {address}, which is"):
            join_ray(address)


@pytest.mark.slow
def test_a_cluster_is_shown_a_token_if_it_asks_for_one(
    head: Head, tmp_path: Path, packs: Path
) -> None:
    """Whether the user has one for other clusters or not."""
    secret = "0123456789abcdef" * 4
    guarded = head(26379, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secret)
    search = (*SMALL, "--trials", "1", "--address")
    for wrong in ({}, {"RAY_AUTH_TOKEN": secret[::-1]}):
        home = {"HOME": str(tmp_path), **wrong}
        refused = Command(tmp_path, packs, **home)(*search, guarded)
        assert refused.returncode == 2
        assert "refused the token" in refused.stderr
        assert len(refused.stderr.splitlines()) == 2
    right = Command(tmp_path, packs, RAY_AUTH_TOKEN=secret)
    done = right(*search, guarded, "--out", "guarded")
    assert done.returncode == 0, done.stderr
    open_to_all = head(26380, RAY_AUTH_MODE="disabled")
    done = right(*search, open_to_all, "--out", "open")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_private_ray_that_does_not_start_ends_in_words(
    command: Command, packs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its daemons may write no file of more than 500 KB, and die of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(packs))
    open_data(DataSource(data="digits", image_size=16))  # its pack is larger
    limited = subprocess.run(
        ["bash", "-c", 'ulimit -f 500; exec "$@"', "bash", sys.executable, str(RUN), *SMALL],
        check=False,
        cwd=command.folder,
        env=command.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert limited.returncode == 2
    cannot, way_out, go_on = limited.stderr.splitlines()
    assert cannot.startswith("Ray cannot start: ")
    assert "ulimit" in way_out
    assert go_on.endswith("--resume results/digits")
