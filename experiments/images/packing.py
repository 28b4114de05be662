"""What a folder of 10,000 photos costs: packed once a machine, then shared by all trials.

    python -m experiments.images.packing
    python -m experiments.images.packing --images 500        # a quick look

Generates JPEGs of mixed sizes, their longer side up to 512 pixels, in food-11's layout. Packs
them in a process of its own, with the files out of the page cache; then kills another such process
half way and starts it again. Then 1, 2 and 4 processes map the pack, as trials do, and take a
training crop of every image. The proportional set size (PSS) of the mapped pixels divides each
page by the number of processes that share it, so its sum is what the machine holds. Beside it
stands the notebook's way, measured on a sample and scaled by pixels: each process decodes all
images by itself, at every start, and keeps the list.

Linux only, as it reads /proc. Result: packing.txt, one run on two cores that other programs kept
busy (load average 5): packed in 24 s with .9 of a core, and 50 MB above what Python and torch
take; killed half way, in 23 s, since a build starts over. The pack is held once: 4.2 GB among 1, 2
or 4 processes alike (crops leave some pages unread), and .03 GB more for each; in the notebook's
way 6.9 GB each.
"""

import multiprocessing
import os
import platform
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import cast

import torch
import tyro
from PIL import Image

from data import DataSource, ImageData, draw_crops, gather_train, open_data
from experiments.images.photos import write_photos

_CROP = 256
_BATCH = 32
# Lines of /proc/PID/smaps. A page that is only one process's without being written is no copy.
_OF_PACK = {"Pss:": "pack_pss", "Rss:": "pack_resident", "Private_Dirty:": "pack_copied"}
_OF_OTHERS = {"Private_Dirty:": "private"}
_SPAWN = multiprocessing.get_context("spawn")

Numbers = dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Packing:
    """Pack a generated folder, interrupt that, and map the pack in several processes."""

    images: int = 10_000
    """Photos in all: 60 % of them for training, 20 % each for validation and testing."""
    sample: int = 500
    """Photos that are also loaded in the notebook's way."""
    workers: tuple[int, ...] = (1, 2, 4)
    """Numbers of processes that map the pack at the same time."""
    scratch: Path | None = None
    """Where a temporary folder of some 0.7 MB a photo is made; None: the system's."""
    seed: int = 0
    """Of the photos."""


def main() -> None:
    """Run the experiment and print what came of it."""
    asked = tyro.cli(Packing)
    _say("date", f"{datetime.now(UTC):%Y-%m-%d}")
    _say("hardware", f"{_processor()}, {os.cpu_count()} cores, {platform.system()}")
    with tempfile.TemporaryDirectory(dir=asked.scratch) as scratch:
        folder = Path(scratch, "food-11")
        _tell_sizes(write_photos(folder, asked.images, seed=asked.seed))
        os.environ["XDG_CACHE_HOME"] = str(Path(scratch, "cache"))
        full = _packed(folder)
        shutil.rmtree(Path(scratch, "cache"))
        _interrupted(folder, asked, full)
        private = _as_the_notebook(folder, asked.sample, full["pixels"])
        for workers in asked.workers:
            _shared(folder, workers, private)


def _tell_sizes(sizes: list[int]) -> None:
    kilobytes = sorted(size / 1e3 for size in sizes)
    tenth, median, last = (kilobytes[int(len(sizes) * at)] for at in (0.1, 0.5, 0.9))
    _say("photos", f"{len(sizes):,}, {sum(kilobytes) / 1e6:.2f} GB")
    _say("kB a photo: median, 10 % to 90 %", f"{median:.0f}, {tenth:.0f} to {last:.0f}")


def _say(name: str, value: str) -> None:
    print(f"{name + ':':58}{value}".rstrip(), flush=True)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "?")


# Packing


def _evict(folder: Path) -> None:
    """Drops files from the page cache, so that they are read from the disk."""
    os.sync()
    for path in folder.rglob("*.jpg"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _packed(folder: Path) -> Numbers:
    full = _pack_in_child(folder)
    _say("seconds to pack", f"{full['seconds']:.1f}")
    _say("images a second", f"{full['images'] / full['seconds']:.0f}")
    _say("cores busy with it", f"{full['cpu'] / full['seconds']:.2f}")
    _say("cores idle meanwhile", f"{full['idle'] / full['seconds']:.2f}")
    _say("load average meanwhile, all programs", f"{full['load']:.1f}")
    _say("GB of pixels", f"{3 * full['pixels'] / 1e9:.2f}")
    _say(
        "peak resident MB of the packing process",
        f"{full['peak'] / 1e6:.0f}, {full['before'] / 1e6:.0f} of them before the first image",
    )
    return full


def _interrupted(folder: Path, asked: Packing, full: Numbers) -> None:
    start = time.monotonic()
    _pack_in_child(folder, kill_at=asked.images // 2)
    killed = time.monotonic() - start
    again = _pack_in_child(folder)
    _say("SIGKILL at half of the photos, seconds since its start", f"{killed:.1f}")
    _say("  seconds of the next start until packed", f"{again['seconds']:.1f}")
    _say("  against a full pack", f"{again['seconds'] / full['seconds']:.2f}")
    _say("  photos packed by it", f"{again['progress']:.0f}")
    mapped = _pack_in_child(folder)
    _say("seconds to map the pack that is there", f"{mapped['seconds']:.2f}")


def _pack_in_child(folder: Path, kill_at: int | None = None) -> Numbers:
    """What `_pack` answers from a process of its own; empty if it was killed."""
    _evict(folder)
    ours, theirs = _SPAWN.Pipe()
    child = _SPAWN.Process(target=_pack, args=(folder, kill_at, theirs))
    child.start()
    theirs.close()
    try:
        return cast("Numbers", ours.recv())
    except EOFError:
        child.join()
        if child.exitcode != -signal.SIGKILL:
            raise
        return {}


def _pack(folder: Path, kill_at: int | None, answer: Connection) -> None:
    calls = 0

    def progress(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    before, idle = _memory("VmHWM"), _idle_seconds()
    start, cpu = time.monotonic(), _cpu_seconds()
    data = open_data(DataSource(data=str(folder)), progress=progress)
    answer.send(
        {
            "seconds": time.monotonic() - start,
            "cpu": _cpu_seconds() - cpu,
            "idle": _idle_seconds() - idle,
            "load": os.getloadavg()[0],
            "before": before,
            "peak": _memory("VmHWM"),
            "images": sum(map(len, (data.train, data.validation, data.test))),
            "pixels": sum(len(s.pixels) for s in (data.train, data.validation, data.test)),
            "progress": calls,
        }
    )


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _idle_seconds() -> float:
    """Of all cores together since the machine was started, waiting for a disk included."""
    ticks = Path("/proc/stat").read_text(encoding="utf-8").split()[4:6]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def _memory(name: str) -> int:
    """Bytes of one line of /proc/self/status; ru_maxrss would count the parent's memory too."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


# Trials


def _as_the_notebook(folder: Path, sample: int, pixels: float) -> float:
    """Says what loading a sample took, scaled to all photos; returns bytes of memory."""
    _evict(folder)
    ours, theirs = _SPAWN.Pipe()
    child = _SPAWN.Process(target=_load_as_the_notebook, args=(folder, sample, theirs))
    child.start()
    seconds, private, loaded = ours.recv()
    child.join()
    every = pixels / loaded
    _say(f"the notebook's way, scaled from {sample} photos, each process", "")
    _say("  seconds, GB of memory", f"{seconds * every:.0f}, {private * every / 1e9:.2f}")
    return float(private * every)


def _load_as_the_notebook(folder: Path, sample: int, answer: Connection) -> None:
    paths = sorted(folder.rglob("*.jpg"))
    paths = paths[:: max(1, len(paths) // sample)][:sample]
    before, start = _own_memory()["private"], time.monotonic()
    kept = []
    for path in paths:
        image = Image.open(path)
        image.load()
        kept.append(image)
    seconds, private = time.monotonic() - start, _own_memory()["private"] - before
    answer.send((seconds, private, sum(image.width * image.height for image in kept)))


def _shared(folder: Path, workers: int, private: float) -> None:
    ready = _SPAWN.Barrier(workers, timeout=600)
    pipes = [_SPAWN.Pipe() for _ in range(workers)]
    jobs = [_SPAWN.Process(target=_take_crops, args=(folder, ready, at)) for _, at in pipes]
    for job, (_, theirs) in zip(jobs, pipes, strict=True):
        job.start()
        theirs.close()
    found: list[dict[str, Numbers]] = [answer.recv() for answer, _ in pipes]
    for job in jobs:
        job.join()
    after = [numbers["after"] for numbers in found]
    own = [numbers["after"]["private"] - numbers["before"]["private"] for numbers in found]
    _say("processes that map the pack and take every image", f"{workers}")
    _say("  GB of the pack in each, PSS", _gigabytes(n["pack_pss"] for n in after))
    _say("  GB of the pack in each, resident", _gigabytes(n["pack_resident"] for n in after))
    _say("  GB of the pack in all, PSS", _gigabytes([sum(n["pack_pss"] for n in after)]))
    _say("  GB in all in the notebook's way, scaled", _gigabytes([workers * private]))
    _say("  GB of the pack copied by each", _gigabytes(n["pack_copied"] for n in after))
    _say("  GB of other private memory gained by each", _gigabytes(own))


def _gigabytes(sizes: Iterable[float]) -> str:
    return ", ".join(f"{size / 1e9:.2f}" for size in sizes)


def _take_crops(folder: Path, ready: Barrier, answer: Connection) -> None:
    torch.set_num_threads(1)
    before = _own_memory()
    data = open_data(DataSource(data=str(folder)))
    _all_crops(data)
    ready.wait()  # all hold all pages now
    after = _own_memory()
    ready.wait()  # nobody has left yet
    answer.send({"before": before, "after": after})


def _all_crops(data: ImageData) -> None:
    generator = torch.Generator().manual_seed(0)
    for split in (data.train, data.validation, data.test):
        order = torch.randperm(len(split), generator=generator)
        for at in range(0, len(order), _BATCH):
            batch = order[at : at + _BATCH]
            drawn = draw_crops(split, batch, size=_CROP, padding=0, flip=True, generator=generator)
            gather_train(split, batch, drawn, _CROP)


def _own_memory() -> Numbers:
    """Bytes of this process: of the pack's pixels, and of all else that is private to it."""
    found = dict.fromkeys((*_OF_PACK.values(), *_OF_OTHERS.values()), 0.0)
    of_pack = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        name, *values = line.split()
        if not name.endswith(":"):
            of_pack = line.endswith(".pixels")
            continue
        counted = _OF_PACK if of_pack else _OF_OTHERS
        if name in counted:
            found[counted[name]] += int(values[0]) * 1024
    return found


if __name__ == "__main__":
    main()
