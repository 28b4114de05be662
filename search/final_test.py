"""The accuracy of a front on test images, once a search is over."""

from collections.abc import Iterable

import torch

from data import ImageData, SplitName
from models import first_line
from pruning import RoundRunner, Stage, StageStore, StoreError
from search.console import Console
from search.workers.devices import exact_fp32
from search.workers.worker import WorkerPlan

_SPLITS: tuple[SplitName, ...] = ("test",)


def record_test_accuracy(
    plan: WorkerPlan,
    store: StageStore,
    members: Iterable[Stage],
    data: ImageData,
    console: Console,
) -> None:
    """Record the accuracy on test images of a front and of what repeats it.

    A GPU that cannot do it, such as one that others have filled by now, leaves it to the CPU: the
    search is over, and nothing but this is missing. With --address this machine may have none.

    Raises:
        StoreError: A network is damaged.
    """
    repeats = store.repeats
    stages = [stage for member in members for stage in (member, *repeats.get(member.id, []))]
    if plan.origin.device_type == "cuda" and torch.cuda.is_available():
        try:
            _test(plan, store, stages, data, torch.device("cuda"))
        except StoreError:
            raise
        except RuntimeError as error:  # of torch
            console.line(f"The GPU cannot test the front, so the CPU does: {first_line(error)}")
    _test(plan, store, stages, data, torch.device("cpu"))


def _test(
    plan: WorkerPlan,
    store: StageStore,
    stages: Iterable[Stage],
    data: ImageData,
    device: torch.device,
) -> None:
    """Test those stages that have not been tested."""
    missing = [stage for stage in stages if store[stage.id].test_accuracy is None]
    if not missing:
        return
    exact_fp32()
    runner = RoundRunner(
        architecture=plan.architecture,
        data=data.to(device, only=_SPLITS),
        origin=plan.origin,
        device=device,
    )
    for stage in missing:
        accuracy = runner.test_accuracy(stage, store.weights(stage.id))
        store.set_test_accuracy(stage.id, accuracy)
