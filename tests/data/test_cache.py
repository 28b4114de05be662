import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

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


def run_opener(folder: Path, progress: str) -> subprocess.Popen[str]:
    """Opens a folder in a process of its own and prints how often progress was called."""
    code = (
        "import os, signal, sys, time; from data import DataSource, open_data; calls = []\n"
        f"def progress(*at):\n    calls.append(at)\n    {progress}\n"
        "open_data(DataSource(data=sys.argv[1]), progress=progress); print(len(calls))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


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


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's list of mapped files")
def test_pixels_are_the_mapped_file(food: Path, cache: Path) -> None:
    data, _ = open_counted(food)
    (pack,) = packs(cache)
    maps = Path("/proc/self/maps").read_text().splitlines()
    (mapped,) = [line for line in maps if line.endswith(f"{pack.name}/train.pixels")]
    start, end = (int(at, 16) for at in mapped.split()[0].split("-"))
    assert start <= data.train.pixels.data_ptr() < end
    before = (pack / "train.pixels").read_bytes()
    data.train.pixels.fill_(1)
    assert (pack / "train.pixels").read_bytes() == before


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


def test_a_killed_build_is_cleared_away(food: Path, cache: Path) -> None:
    killed = run_opener(food, "os.kill(os.getpid(), signal.SIGKILL)")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    (leftover,) = packs(cache)
    assert leftover.suffix == ".building"
    other = cache / "1234.building"
    other.mkdir()
    _, calls = open_counted(food)
    assert len(calls) == 6
    assert [path.suffix for path in packs(cache)] == [""]


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
