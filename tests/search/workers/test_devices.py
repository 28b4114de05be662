from typing import Any

import pytest
import torch

from search.errors import RefusedError
from search.workers.devices import (
    Cards,
    Pool,
    PoolRequest,
    default_precision,
    describe_hardware,
    make_pool,
    usable_cores,
    visible_cards,
)


def cpu_pool(workers: int) -> Pool:
    return Pool(device_type="cpu", workers=workers, gpus=0, gpus_per_worker=0.0, ahead=workers + 1)


def gpu_pool(workers: int, gpus: int, **others: Any) -> Pool:
    return Pool(
        **{"device_type": "cuda", **others},
        workers=workers,
        gpus=gpus,
        gpus_per_worker=gpus / workers,
        ahead=workers + 1,
    )


@pytest.mark.parametrize(
    ("asked", "cards", "expected"),
    [
        ({}, {}, cpu_pool(6)),
        ({"workers": 3}, {}, cpu_pool(3)),
        ({}, {"count": 4}, gpu_pool(4, 4)),
        ({"gpus": 2}, {"count": 4}, gpu_pool(2, 2)),
        ({"gpus": 0}, {"count": 4}, cpu_pool(6)),
        ({"gpus": 0, "workers": 3}, {"count": 4, "failure": "no driver"}, cpu_pool(3)),
        ({"trials_per_gpu": 4}, {"count": 2}, gpu_pool(8, 2)),
        ({}, {"count": 2, "device_type": "cpu"}, gpu_pool(2, 2, device_type="cpu")),
        (
            {},
            {"count": 1, "bf16": True, "names": "A100"},
            gpu_pool(1, 1, bf16=True, gpu_names="A100"),
        ),
    ],
)
def test_where_trials_run(asked: dict[str, Any], cards: dict[str, Any], expected: Pool) -> None:
    assert make_pool(PoolRequest(**asked), cards=Cards(**cards), cores=6) == expected


def test_a_machine_without_a_known_core_has_a_worker() -> None:
    assert make_pool(PoolRequest(), cards=Cards(), cores=0) == cpu_pool(1)


def test_no_trial_runs_beside_those_that_were_asked_for_where_ray_has_room() -> None:
    request = PoolRequest(workers=3, address="auto")
    assert make_pool(request, cards=Cards(), cores=6).ahead == 3


@pytest.mark.parametrize(
    ("asked", "cards", "message"),
    [
        ({"gpus": 3}, Cards(count=2), r"--gpus 3 .* there are 2"),
        ({"workers": 3}, Cards(count=2), r"--workers 3 .* on the CPU, .*\n.*--gpus 0"),
        ({"gpus": 0, "trials_per_gpu": 2}, Cards(count=2), r"--trials-per-gpu 2 .*\n.*--workers"),
        ({"trials_per_gpu": 2}, Cards(), r"--trials-per-gpu 2 .* none is used\.\n.*--workers"),
        ({}, Cards(count=2, failure="driver too old"), r"driver too old\n.*--gpus 0"),
        ({"gpus": 1}, Cards(count=2, failure="driver too old"), r"driver too old\n.*--gpus 0"),
    ],
)
def test_gpus_that_cannot_be_had_are_refused(
    asked: dict[str, Any], cards: Cards, message: str
) -> None:
    with pytest.raises(RefusedError, match=message):
        make_pool(PoolRequest(**asked), cards=cards, cores=6)


@pytest.fixture
def four_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch says what it says of four cards, the last of another model."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"T{index // 3}")
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation
    )


@pytest.mark.usefixtures("four_cards")
def test_cards_are_asked_for_bf16_that_is_not_emulated() -> None:
    assert visible_cards() == Cards(count=4, bf16=False, names="T0, T1")


@pytest.mark.usefixtures("four_cards")
@pytest.mark.parametrize(("listed", "count"), [("MIG-a,MIG-b", 2), ("0", 1), ("", 1)])
def test_slices_of_a_card_are_counted_as_they_are_listed(
    listed: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert visible_cards().count == count


def test_why_listed_cards_cannot_be_used_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(index: int) -> str:
        raise RuntimeError("The driver is too old (found 11040).\nUpdate it.")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", start)
    assert visible_cards() == Cards(count=2, failure="The driver is too old (found 11040).")


def test_no_cards_are_seen_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert visible_cards() == Cards()


@pytest.mark.parametrize(
    ("pool", "image_size", "expected"),
    [
        (cpu_pool(2), 256, "fp32"),
        (gpu_pool(1, 1), 256, "fp32"),
        (gpu_pool(1, 1, bf16=True), 127, "fp32"),
        (gpu_pool(1, 1, bf16=True), 128, "bf16"),
    ],
)
def test_bf16_is_for_large_images_and_cards_that_have_it(
    pool: Pool, image_size: int, expected: str
) -> None:
    assert default_precision(pool, image_size) == expected


def test_the_hardware_is_described() -> None:
    described = describe_hardware(gpu_pool(4, 2, gpu_names="A100"))
    assert described.pop("cores") == usable_cores()
    assert described == {"device_type": "cuda", "gpus": 2, "gpu_names": "A100", "workers": 4}


def test_there_is_a_core() -> None:
    assert usable_cores() >= 1
