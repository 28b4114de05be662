"""A worker without Ray: its store is at hand, and what torch says of a card is made up."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import torch

from data import DataSource, ImageData, PackedImages, open_data
from pruning import LatencyLadder, Origin, Recipe, RoundRunner, device_name
from search.errors import SearchError
from search.workers.store_actor import StoreActor
from search.workers.worker import (
    BROKEN,
    FAILURE,
    STAGE,
    ScheduleTrial,
    WorkerPlan,
    trial_config,
)
from tests.search.landscape import ARCHITECTURE, rounds

HALF = rounds(0.5)
CONFIG = trial_config(0, HALF)


@pytest.fixture
def plan(packs: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerPlan:
    monkeypatch.setenv("XDG_CACHE_HOME", str(packs))
    data = open_data(DataSource(data="digits", image_size=16))
    origin = Origin(
        recipe=Recipe(root_epochs=0),
        seed=0,
        data_fingerprint=data.fingerprint,
        root={},
        device_type="cpu",
    )
    return WorkerPlan(images=PackedImages.of(data), architecture=ARCHITECTURE, origin=origin)


class AtHand:
    """Calls an actor's methods as a handle does, but here and now."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=getattr(self._actor, name))


@pytest.fixture
def started(
    plan: WorkerPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], ScheduleTrial]:
    monkeypatch.setattr(ray, "get", lambda value: value)

    def start() -> ScheduleTrial:
        worker = ScheduleTrial.__new__(ScheduleTrial)
        worker.setup(
            CONFIG, plan=plan, store=AtHand(StoreActor(tmp_path / "stages")), bring=copyfile
        )
        return worker

    return start


def moved(monkeypatch: pytest.MonkeyPatch, plan: WorkerPlan, *, free: int, total: int) -> set[str]:
    """The splits that a worker with a card of so much memory moves there."""
    splits: set[str] = set()

    def to(data: ImageData, device: torch.device, *, only: tuple[str, ...]) -> ImageData:
        splits.update(only)
        return data

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (free, total))
    monkeypatch.setattr(ImageData, "to", to)
    plan.runner(torch.device("cuda"), copyfile)
    return splits


def needed(plan: WorkerPlan) -> int:
    data = plan.images.open(copyfile)
    return data.train.nbytes + data.validation.nbytes


def test_a_worker_moves_what_it_trains_and_validates_on(
    plan: WorkerPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = needed(plan)
    assert moved(monkeypatch, plan, free=room, total=room) == {"train", "validation"}


@pytest.mark.parametrize(
    ("missing", "error"), [((1, 0), torch.OutOfMemoryError), ((1, 1), SearchError)]
)
def test_images_that_do_not_fit_are_not_moved(
    plan: WorkerPlan,
    monkeypatch: pytest.MonkeyPatch,
    missing: tuple[int, int],
    error: type[Exception],
) -> None:
    """Another worker may find more room, unless the card is too small."""
    free, total = (needed(plan) - bytes_ for bytes_ in missing)
    with pytest.raises(error, match="fewer --trials-per-gpu, or a smaller --image-size"):
        moved(monkeypatch, plan, free=free, total=total)


def test_a_worker_without_luck_dies_and_says_why_in_a_line(
    started: Callable[[], ScheduleTrial], monkeypatch: pytest.MonkeyPatch
) -> None:
    def runner(*_: object) -> RoundRunner:
        raise torch.AcceleratorError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(WorkerPlan, "runner", runner)
    with pytest.raises(RuntimeError, match=r"^CUDA error: out of memory$"):
        started()


def test_a_worker_of_other_images_ends_the_run(
    plan: WorkerPlan, started: Callable[[], ScheduleTrial], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(plan.images.open(copyfile), fingerprint="other")
    monkeypatch.setattr(PackedImages, "open", lambda *_: other)
    assert "holds others than the driver's" in started().step()[BROKEN]


@pytest.mark.parametrize(("failures", "key"), [(1, STAGE), (2, FAILURE)])
def test_a_round_without_memory_is_tried_once_more(
    started: Callable[[], ScheduleTrial],
    monkeypatch: pytest.MonkeyPatch,
    failures: int,
    key: str,
) -> None:
    root, left = RoundRunner.root, iter(range(failures))

    def without_memory(runner: RoundRunner, *arguments: Any) -> Any:
        if next(left, None) is not None:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return root(runner, *arguments)

    monkeypatch.setattr(RoundRunner, "root", without_memory)
    monkeypatch.setattr(RoundRunner, "child", root)
    assert key in started().step()


@pytest.mark.parametrize("error", [RuntimeError, ValueError, AssertionError, KeyError])
def test_whatever_a_network_raises_fails_its_trial_alone(
    started: Callable[[], ScheduleTrial],
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    def root(*_: Any) -> None:
        raise error("of a network")

    monkeypatch.setattr(RoundRunner, "root", root)
    assert "training failed: " in started().step()[FAILURE]


def test_a_worker_times_what_it_makes(started: Callable[[], ScheduleTrial]) -> None:
    worker = started()
    result = worker.step()
    stage = worker._store.next_task.remote(0, HALF).reached
    assert stage.id == result[STAGE]
    assert stage.latency_ms > 0
    assert stage.latency_on == device_name(torch.device("cpu"))


def test_a_worker_on_another_device_than_latencies_were_measured_on_ends_the_run(
    plan: WorkerPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder = LatencyLadder(device="a card", widths=(0.0, 1.0), milliseconds=(1.0, 2.0))
    worker = ScheduleTrial.__new__(ScheduleTrial)
    store = AtHand(StoreActor(tmp_path / "stages"))
    worker.setup(CONFIG, plan=replace(plan, ladder=ladder), store=store, bring=copyfile)
    assert "those of a card, not of" in worker.step()[BROKEN]


def test_workers_compute_fp32_in_fp32(
    started: Callable[[], ScheduleTrial], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    started()
    assert not torch.backends.cudnn.allow_tf32
