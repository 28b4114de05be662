from typing import Any

import pytest

from search.errors import RefusedError
from search.workers.devices import Pool, PoolRequest, make_pool, usable_cores

MACHINE: dict[str, Any] = {"present_gpus": 0, "cores": 6, "device_type": "cuda"}


@pytest.mark.parametrize(
    ("asked", "machine", "expected"),
    [
        ({}, {}, ("cpu", 6, 0, 0.0)),
        ({"workers": 3}, {}, ("cpu", 3, 0, 0.0)),
        ({}, {"present_gpus": 4}, ("cuda", 4, 4, 1.0)),
        ({"gpus": 2}, {"present_gpus": 4}, ("cuda", 2, 2, 1.0)),
        ({"gpus": 0}, {"present_gpus": 4}, ("cpu", 6, 0, 0.0)),
        ({"trials_per_gpu": 4}, {"present_gpus": 2}, ("cuda", 8, 2, 0.25)),
        ({}, {"present_gpus": 2, "device_type": "cpu"}, ("cpu", 2, 2, 1.0)),
        ({}, {"cores": 0}, ("cpu", 1, 0, 0.0)),
    ],
)
def test_where_trials_run(
    asked: dict[str, Any], machine: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    device_type, workers, gpus, share = expected
    assert make_pool(PoolRequest(**asked), **(MACHINE | machine)) == Pool(
        device_type=device_type,
        workers=workers,
        gpus=gpus,
        gpus_per_worker=share,
        ahead=workers + 1,
    )


def test_no_trial_runs_beside_those_that_were_asked_for_where_ray_has_room() -> None:
    assert make_pool(PoolRequest(workers=3, address="auto"), **MACHINE).ahead == 3


def test_more_gpus_than_there_are_are_refused() -> None:
    with pytest.raises(RefusedError, match=r"--gpus 3 .* there are 2"):
        make_pool(PoolRequest(gpus=3), **(MACHINE | {"present_gpus": 2}))


def test_there_is_a_core() -> None:
    assert usable_cores() >= 1
