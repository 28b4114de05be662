from typing import Any

import pytest

from search.devices import Pool, make_pool, usable_cores
from search.errors import RefusedError

ASKED: dict[str, Any] = {
    "asked_gpus": None,
    "present_gpus": 0,
    "trials_per_gpu": 1,
    "asked_workers": None,
    "cores": 6,
    "device_type": "cuda",
    "shared": False,
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ("cpu", 6, 0, 0.0)),
        ({"asked_workers": 3}, ("cpu", 3, 0, 0.0)),
        ({"present_gpus": 4}, ("cuda", 4, 4, 1.0)),
        ({"present_gpus": 4, "asked_gpus": 2}, ("cuda", 2, 2, 1.0)),
        ({"present_gpus": 4, "asked_gpus": 0}, ("cpu", 6, 0, 0.0)),
        ({"present_gpus": 2, "trials_per_gpu": 4}, ("cuda", 8, 2, 0.25)),
        ({"present_gpus": 2, "device_type": "cpu"}, ("cpu", 2, 2, 1.0)),
        ({"cores": 0}, ("cpu", 1, 0, 0.0)),
    ],
)
def test_where_trials_run(change: dict[str, Any], expected: tuple[Any, ...]) -> None:
    device_type, workers, gpus, share = expected
    assert make_pool(**(ASKED | change)) == Pool(
        device_type=device_type,
        workers=workers,
        gpus=gpus,
        gpus_per_worker=share,
        ahead=workers + 1,
    )


def test_no_trial_runs_beside_those_that_were_asked_for_where_ray_has_room() -> None:
    assert make_pool(**(ASKED | {"asked_workers": 3, "shared": True})).ahead == 3


def test_more_gpus_than_there_are_are_refused() -> None:
    with pytest.raises(RefusedError, match=r"--gpus 3 .* there are 2"):
        make_pool(**(ASKED | {"present_gpus": 2, "asked_gpus": 3}))


def test_there_is_a_core() -> None:
    assert usable_cores() >= 1
