"""Where trials run: how many at once, and on what."""

import os
from dataclasses import dataclass

import torch

from search.errors import RefusedError


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolRequest:
    """What a user asked for.

    Attributes:
        gpus: GPUs to use; None is all that are present, 0 the CPU.
        trials_per_gpu: How many trials share a GPU.
        workers: How many trials run at once on the CPU; None is one a core.
        address: Of the Ray cluster to join; None or "local" is a Ray of the search's own.
    """

    gpus: int | None = None
    trials_per_gpu: int = 1
    workers: int | None = None
    address: str | None = None

    @property
    def private(self) -> bool:
        """Whether the search starts a Ray of its own, with no more room than it asks for."""
        return self.address in (None, "local")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """The workers of a search.

    Attributes:
        device_type: "cuda" or "cpu", what the workers train on.
        workers: How many trials run at once.
        gpus: GPUs that are used; 0 on the CPU.
        gpus_per_worker: Share of a GPU that each worker holds.
        ahead: Trials that may be in flight: one more than workers, so that none waits for the
            next proposal; where Ray has room for more workers than were asked for, no more.
    """

    device_type: str
    workers: int
    gpus: int
    gpus_per_worker: float
    ahead: int


def make_pool(request: PoolRequest, *, present_gpus: int, cores: int, device_type: str) -> Pool:
    """Decide where trials run.

    Args:
        request: What was asked for.
        present_gpus: GPUs of this machine, or of the cluster.
        cores: Cores of this machine, or of the cluster.
        device_type: What a worker that holds a GPU trains on.

    Raises:
        RefusedError: More GPUs were asked for than there are.
    """
    gpus = present_gpus if request.gpus is None else request.gpus
    if gpus > present_gpus:
        raise RefusedError(
            f"--gpus {gpus} was asked for, but there are {present_gpus}.\n"
            f"Ask for {present_gpus} at most; --gpus 0 runs on the CPU."
        )
    workers = gpus * request.trials_per_gpu if gpus else request.workers or max(1, cores)
    return Pool(
        device_type=device_type if gpus else "cpu",
        workers=workers,
        gpus=gpus,
        gpus_per_worker=1 / request.trials_per_gpu if gpus else 0.0,
        ahead=workers + 1 if request.private else workers,
    )


def usable_cores() -> int:
    """Cores that this process may use, at least 1."""
    return (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )


def describe_hardware(pool: Pool) -> dict[str, str | int]:
    """What a reader of search.json should know of the machine."""
    names = {torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
    return {
        "device_type": pool.device_type,
        "gpus": pool.gpus,
        "gpu_names": ", ".join(sorted(names)),
        "workers": pool.workers,
        "cores": usable_cores(),
    }
