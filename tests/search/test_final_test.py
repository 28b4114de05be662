import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data import DataSource, ImageData, PackedImages, open_data
from pruning import Origin, Recipe, RoundRunner, StageStore, StoreError
from search.console import Console
from search.final_test import record_test_accuracy
from search.workers.worker import WorkerPlan
from tests.search.landscape import ARCHITECTURE

Run = Callable[..., str]


@pytest.fixture
def run(packs: Path, store: StageStore, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Tests the root, its search having run on some kind of device; returns what is written."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(packs))
    data = open_data(DataSource(data="digits", image_size=16))
    origin = Origin(
        recipe=Recipe(root_epochs=0),
        seed=0,
        data_fingerprint=data.fingerprint,
        root={},
        device_type="cpu",
    )
    trainer = RoundRunner(
        architecture=ARCHITECTURE, data=data, origin=origin, device=torch.device("cpu")
    )
    root = store.commit(*trainer.root(), trial=0)

    def run(device_type: str) -> str:
        written = io.StringIO()
        plan = WorkerPlan(
            images=PackedImages.of(data),
            architecture=ARCHITECTURE,
            origin=replace(origin, device_type=device_type),
        )
        record_test_accuracy(plan, store, [root], data, Console(written))
        return written.getvalue()

    return run


@pytest.fixture
def full_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card on which nothing has room; what is moved elsewhere moves."""
    to = ImageData.to

    def move(data: ImageData, device: torch.device, *, only: tuple[str, ...]) -> ImageData:
        assert only == ("test",)
        if device.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2.00 GiB.")
        return to(data, device, only=only)

    monkeypatch.setattr(ImageData, "to", move)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def accuracy(store: StageStore) -> float | None:
    (root,) = store
    return root.test_accuracy


@pytest.mark.usefixtures("full_card")
def test_where_the_gpu_has_no_room_the_cpu_tests(run: Run, store: StageStore) -> None:
    written = run("cuda")
    assert written == "The GPU cannot test the front, so the CPU does: CUDA out of memory.\n"
    assert accuracy(store) is not None
    assert run("cuda") == ""  # nothing is tested twice


@pytest.mark.usefixtures("full_card")
def test_a_search_on_the_cpu_asks_for_no_gpu(run: Run, store: StageStore) -> None:
    assert run("cpu") == ""
    assert accuracy(store) is not None


def test_a_damaged_network_is_not_the_gpu_s_fault(
    run: Run, store: StageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weights(store: StageStore, stage_id: str) -> bytes:
        raise StoreError("damaged")

    monkeypatch.setattr(StageStore, "weights", weights)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(ImageData, "to", lambda data, *_, **__: data)
    with pytest.raises(StoreError, match="damaged"):
        run("cuda")


def test_fp32_is_tested_in_fp32(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    run("cpu")
    assert not torch.backends.cudnn.allow_tf32
