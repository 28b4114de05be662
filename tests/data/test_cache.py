import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from data import DataError, DataSource, ImageData, open_data

ROOT = Path(__file__).parents[2]
Calls = list[tuple[str, int, int]]


def open_counted(folder: Path) -> tuple[ImageData, Calls]:
    """The data, and the calls of progress: none where no pack was built."""
    calls: Calls = []
    data = open_data(DataSource(data=str(folder)), progress=lambda *at: calls.append(at))
    return data, calls


def packs(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.is_dir()]


def run_opener(
    folder: Path, progress: str = "pass", then: str = "print(len(calls))"
) -> subprocess.Popen[str]:
    """Opens a folder in a process of its own; by default prints how often progress was called."""
    code = (
        "import os, signal, sys, time; from data import *; calls = []\n"
        # A job that a shell runs in the background ignores Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"def progress(*at):\n    calls.append(at)\n    {progress}\n"
        f"data = open_data(DataSource(data=sys.argv[1]), progress=progress)\n{then}"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def mapped(path: Path, process: str | int) -> tuple[int, int]:
    """Inode of the file that a process maps from a path, and kB of it that are its own copy."""
    lines = iter(Path(f"/proc/{process}/smaps").read_text().splitlines())
    inode = next(int(line.split()[4]) for line in lines if line.endswith(f" {path}"))
    return inode, next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))


def test_progress_counts_each_split(food: Path) -> None:
    _, calls = open_counted(food)
    assert calls == [
        ("train", 1, 3),
        ("train", 2, 3),
        ("train", 3, 3),
        ("validation", 1, 2),
        ("validation", 2, 2),
        ("test", 1, 1),
    ]


def test_a_pack_is_built_once(food: Path, cache: Path) -> None:
    first, _ = open_counted(food)
    again, calls = open_counted(food)
    assert not calls
    assert again.fingerprint == first.fingerprint
    assert torch.equal(again.train.pixels, first.train.pixels)
    assert again.test.labels.tolist() == first.test.labels.tolist()
    assert len(packs(cache)) == 1


def test_a_changed_source_is_packed_anew(food: Path) -> None:
    open_counted(food)
    os.utime(food / "training" / "0_0.png", (1, 1))
    _, calls = open_counted(food)
    assert len(calls) == 6
    (food / "training" / "0_1.jpg").rename(food / "training" / "1_1.jpg")
    data, calls = open_counted(food)
    assert len(calls) == 6
    assert data.train.labels.tolist() == [0, 1, 1]


def exchange(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("0/1.png", "0/2.png"), ("0/1.png", "1/1.png"), ("0", "1"), ("0/3.png", "0/4.png")],
    ids=["files", "files of two classes", "folders", "links"],
)
def test_files_that_change_places_are_noticed(
    tmp_path: Path, noise: Callable[..., NDArray[np.uint8]], one: str, other: str
) -> None:
    """They are as long and as old as each other, as images without compression from an archive."""
    for at in (1, 2):
        for folder in ("training/0", "training/1", "validation/0", "validation/1", "testing/0"):
            path = tmp_path / "set" / folder / f"{at}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise(9, 9)).save(path, compress_level=0)
            os.utime(path, (1, 1))
    training = tmp_path / "set" / "training"
    for at in (3, 4):
        for label in "01":
            (training / label / f"{at}.png").symlink_to(f"{at - 2}.png")
    first, _ = open_counted(tmp_path / "set")
    exchange(training / one, training / other)
    again, calls = open_counted(tmp_path / "set")
    assert calls
    assert again.fingerprint != first.fingerprint
    exchange(training / one, training / other)
    assert open_counted(tmp_path / "set")[0].fingerprint == first.fingerprint


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's list of mapped files")
def test_pixels_are_the_mapped_file(food: Path, cache: Path) -> None:
    data, _ = open_counted(food)
    (pack,) = packs(cache)
    maps = Path("/proc/self/maps").read_text().splitlines()
    (ours,) = [line for line in maps if line.endswith(f"{pack.name}/train.pixels")]
    start, end = (int(at, 16) for at in ours.split()[0].split("-"))
    assert start <= data.train.pixels.data_ptr() < end
    before = (pack / "train.pixels").read_bytes()
    data.train.pixels.fill_(1)
    assert (pack / "train.pixels").read_bytes() == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's account of mapped files")
def test_crops_are_taken_from_one_file_without_a_copy_of_it(food: Path, cache: Path) -> None:
    data, _ = open_counted(food)
    drawn = (
        "import torch; i, g = torch.arange(3), torch.Generator()\n"
        "drawn = draw_crops(data.train, i, size=16, padding=0, flip=True, generator=g)\n"
        "print(len(calls), int(gather_train(data.train, i, drawn, 16).count_nonzero()) > 0)\n"
        "sys.stdout.flush(); sys.stdin.read()"
    )
    with run_opener(food, then=drawn) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "0 True\n"
        (pack,) = packs(cache)
        pixels = pack / "train.pixels"
        assert mapped(pixels, other.pid) == (pixels.stat().st_ino, 0)
        assert mapped(pixels, "self") == (pixels.stat().st_ino, 0)
        data.train.pixels.fill_(1)
        assert mapped(pixels, "self")[1] > 0  # so that a copy would have been seen
        other.communicate()


@pytest.mark.parametrize("name", ["pack.json", "train.npy", "validation.pixels"])
@pytest.mark.parametrize("how", ["missing", "short", "empty", "other"])
def test_a_damaged_pack_is_built_again(food: Path, cache: Path, name: str, how: str) -> None:
    first, _ = open_counted(food)
    before = first.train.pixels.clone()
    (pack,) = packs(cache)
    content = (pack / name).read_bytes()
    (pack / name).unlink()
    if how != "missing":
        (pack / name).write_bytes({"short": content[:-3], "empty": b"", "other": b"[1]"}[how])
    data, calls = open_counted(food)
    assert len(calls) == 6
    assert data.fingerprint == first.fingerprint
    assert torch.equal(data.train.pixels, before)


def test_one_flipped_bit_of_an_index_is_noticed(food: Path, cache: Path) -> None:
    open_counted(food)
    (pack,) = packs(cache)
    content = bytearray((pack / "train.npy").read_bytes())
    content[-8] ^= 1
    (pack / "train.npy").write_bytes(content)
    data, calls = open_counted(food)
    assert len(calls) == 6
    assert data.train.labels.tolist() == [0, 0, 1]


def test_a_pack_of_another_format_is_built_again(food: Path, cache: Path) -> None:
    open_counted(food)
    (pack,) = packs(cache)
    about = json.loads((pack / "pack.json").read_text())
    (pack / "pack.json").write_text(json.dumps(about | {"format": -1}))
    assert len(open_counted(food)[1]) == 6


class Malice:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def replace_index(pack: Path, index: NDArray[Any]) -> None:
    """Replaces an index and its digest, so that only what is in it can give it away."""
    np.save(pack / "train.npy", index, allow_pickle=True)
    about = json.loads((pack / "pack.json").read_text())
    content = (pack / "train.npy").read_bytes()
    about["splits"]["train"]["index"] = hashlib.sha256(content).hexdigest()
    (pack / "pack.json").write_text(json.dumps(about))


def test_nothing_in_a_pack_is_unpickled(tmp_path: Path, food: Path, cache: Path) -> None:
    open_counted(food)
    (pack,) = packs(cache)
    replace_index(pack, np.array([Malice(tmp_path / "executed")], dtype=object))
    _, calls = open_counted(food)
    assert len(calls) == 6
    assert not (tmp_path / "executed").exists()
    np.load(pack / "train.npy", allow_pickle=False)


@pytest.mark.parametrize("index", [np.zeros((0, 3)), np.zeros((3, 2)), np.ones((3, 3))])
def test_an_index_that_does_not_fit_is_built_again(
    food: Path, cache: Path, index: NDArray[np.float64]
) -> None:
    open_counted(food)
    (pack,) = packs(cache)
    replace_index(pack, index.astype(np.int64))
    data, calls = open_counted(food)
    assert len(calls) == 6
    assert len(data.train) == 3


def test_an_interrupted_build_leaves_no_pack(food: Path, cache: Path) -> None:
    def interrupt(split: str, done: int, total: int) -> None:
        if split == "validation":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_data(DataSource(data=str(food)), progress=interrupt)
    assert not packs(cache)
    assert len(open_counted(food)[1]) == 6


def test_ctrl_c_ends_a_build_at_once(
    tmp_path: Path, cache: Path, write_folder: Callable[..., Path]
) -> None:
    names = [f"training/0_{at}.png" for at in range(15)]
    folder = write_folder(tmp_path / "set", (*names, "validation/0_0.png", "testing/0_0.png"))
    for at in range(300):
        (folder / "testing" / f"0_{at + 1}.png").symlink_to("0_0.png")
    with run_opener(folder, "print(len(calls), flush=True); time.sleep(0.02)") as opener:
        assert opener.stdout is not None
        assert opener.stdout.readline() == "1\n"
        opener.send_signal(signal.SIGINT)
        printed, traceback = opener.communicate()
    assert opener.returncode == -signal.SIGINT
    assert traceback.splitlines()[-1] == "KeyboardInterrupt"
    assert len(printed.splitlines()) < 317
    assert not packs(cache)


@pytest.mark.parametrize("at", [1, 4, 6])
def test_a_killed_build_is_cleared_away(tmp_path: Path, food: Path, cache: Path, at: int) -> None:
    killed = run_opener(food, f"len(calls) == {at} and os.kill(os.getpid(), signal.SIGKILL)")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    (leftover,) = packs(cache)
    assert leftover.suffix == ".building"
    other = cache / "1234.building"
    other.mkdir()
    data, calls = open_counted(food)
    assert len(calls) == 6
    assert [path.suffix for path in packs(cache)] == [""]
    undisturbed, calls = open_counted(shutil.copytree(food, tmp_path / "copy"))
    assert len(calls) == 6
    assert data.fingerprint == undisturbed.fingerprint
    assert torch.equal(data.train.pixels, undisturbed.train.pixels)


def test_two_processes_build_once(food: Path) -> None:
    openers = [run_opener(food, "time.sleep(0.2)") for _ in range(2)]
    counts = sorted(int(opener.communicate()[0]) for opener in openers)
    assert counts == [0, 6]


def test_a_cache_that_cannot_be_written_is_refused(
    tmp_path: Path, food: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"must be writable.*set XDG_CACHE_HOME"):
        open_counted(food)


def test_a_full_disk_is_refused(food: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match=r"no space left.*XDG_CACHE_HOME"):
            open_counted(food)
    assert not packs(cache)
    assert len(open_counted(food)[1]) == 6
