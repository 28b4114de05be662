"""What Ray Tune does otherwise than by itself while it runs for us."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.registry import _global_registry

# Ray Tune reads these when it runs. Its own files are not needed: the ledger and the store are.
_SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000",
}


def set_tune(*, most_waiting: int) -> None:
    """Set what Ray Tune reads when it runs, so that it keeps no files of its own.

    What was set for other programs is taken away: with some of it Ray Tune refuses to run.

    Args:
        most_waiting: Trials that may wait for a worker.
    """
    for name in list(os.environ):
        if name.startswith("TUNE_") or name == "RAY_AIR_LOCAL_CACHE_DIR":
            del os.environ[name]
    os.environ.update(_SETTINGS, TUNE_MAX_PENDING_TRIALS_PG=str(most_waiting))


@contextmanager
def deaths_told_alike() -> Iterator[None]:
    """Have Tune take every death of a worker for one.

    At a call that fails since Ray's memory monitor has killed the worker, and at others that it
    does not know, it would end the whole run. What it says of trials that failed is said by us.
    """
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)
    failed = RayActorManager._actor_task_failed

    def told(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
        known = isinstance(exception, (RayActorError, RayTaskError))
        if isinstance(exception, RayError) and not known:
            exception = RayActorError(error_msg=str(exception))
        failed(manager, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = told
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = failed


@contextmanager
def looked_up_once() -> Iterator[None]:
    """Have Tune ask Ray's control store for the trainable once, not three times a trial."""
    registry = _global_registry
    registry.contains, registry.get = cache(registry.contains), cache(registry.get)
    try:
        yield
    finally:
        del registry.contains, registry.get
