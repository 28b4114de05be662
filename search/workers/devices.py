"""Where trials run: how many at once, and on what."""

import os
from dataclasses import dataclass
from typing import Literal

import torch

from models import first_line
from pruning import Precision
from search.errors import RefusedError

_WAITED_FOR = 8  # workers for which one trial waits
_BF16_PIXELS = 128


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
class Cards:
    """The GPUs of this machine, or of the cluster.

    Attributes:
        count: How many there are.
        device_type: What a worker that holds one trains on: "cpu" where a cluster declares GPUs
            that are not there.
        bf16: Whether they compute in bf16, other than by emulation.
        names: Of their models; empty if it is not known.
        failure: Why CUDA cannot start on them, if it cannot.
    """

    count: int = 0
    device_type: Literal["cuda", "cpu"] = "cuda"
    bf16: bool = False
    names: str = ""
    failure: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """The workers of a search.

    Attributes:
        device_type: "cuda" or "cpu", what the workers train on.
        workers: How many trials run at once.
        gpus: GPUs that are used; 0 on the CPU.
        gpus_per_worker: Share of a GPU that each worker holds.
        ahead: Trials that may be in flight: somewhat more than workers, so that none waits for
            the next proposal; where Ray has room for more workers than were asked for, no more.
        bf16: Whether the workers' GPUs compute in bf16.
        gpu_names: Models of the GPUs that are used.
        left_out: Workers that were asked for, but for which the cluster has no room now.
        grows: Whether it is to have all of a cluster, and so more when there is more.
    """

    device_type: str
    workers: int
    gpus: int
    gpus_per_worker: float
    ahead: int
    bf16: bool = False
    gpu_names: str = ""
    left_out: int = 0
    grows: bool = False


def make_pool(request: PoolRequest, *, cards: Cards, cores: int) -> Pool:
    """Decide where trials run.

    GPUs on which CUDA cannot start are refused, also where all that are present is the default:
    on the CPU a search may take days in place of hours, which whoever has GPUs should choose.

    Args:
        request: What was asked for.
        cards: GPUs of this machine, or of the cluster.
        cores: Cores of this machine, or of the cluster.

    Raises:
        RefusedError: More GPUs were asked for than there are, they cannot be used, or what was
            asked for is for the other kind of device.
    """
    gpus = cards.count if request.gpus is None else request.gpus
    _check(request, gpus, cards)
    if not gpus:
        workers = request.workers or max(1, cores)
        return Pool(
            device_type="cpu",
            workers=workers,
            gpus=0,
            gpus_per_worker=0.0,
            ahead=_ahead(request, workers),
        )
    workers = gpus * request.trials_per_gpu
    return Pool(
        device_type=cards.device_type,
        workers=workers,
        gpus=gpus,
        gpus_per_worker=1 / request.trials_per_gpu,
        ahead=_ahead(request, workers),
        bf16=cards.bf16,
        gpu_names=cards.names,
    )


def _check(request: PoolRequest, gpus: int, cards: Cards) -> None:
    """Refuse GPUs that cannot be had, and shares of what is not used; see `make_pool`."""
    if gpus > cards.count:
        raise RefusedError(
            f"--gpus {gpus} was asked for, but there are {cards.count}.\n"
            f"Ask for {cards.count} at most; --gpus 0 runs on the CPU."
        )
    if gpus and cards.failure is not None:
        raise RefusedError(
            f"CUDA cannot start on {cards.count} GPU(s): {cards.failure}\n"
            "Mend their driver, or run on the CPU by --gpus 0."
        )
    if gpus and request.workers is not None:
        raise RefusedError(
            f"--workers {request.workers} is how many trials run at once on the CPU, and not on "
            f"{gpus} GPU(s).\nGive --gpus with --trials-per-gpu, or --gpus 0 with --workers."
        )
    if not gpus and request.trials_per_gpu > 1:
        raise RefusedError(
            f"--trials-per-gpu {request.trials_per_gpu} is how many trials share a GPU, and none "
            "is used.\nGive --gpus with it, or --gpus 0 with --workers."
        )


def _ahead(request: PoolRequest, workers: int) -> int:
    return workers + max(1, workers // _WAITED_FOR) if request.private else workers


def visible_cards() -> Cards:
    """The GPUs that torch sees here.

    Under an old driver it lists what it cannot start. Of MIG slices it sees the first only, but a
    private Ray gives each worker another entry of CUDA_VISIBLE_DEVICES: those are counted.
    """
    seen = torch.cuda.device_count()
    if seen == 0:
        return Cards()
    listed = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    count = max(seen, sum(entry.startswith("MIG-") for entry in listed))
    try:
        names = {torch.cuda.get_device_name(index) for index in range(seen)}
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    except RuntimeError as error:
        return Cards(count=count, failure=first_line(error))
    return Cards(count=count, bf16=bf16, names=", ".join(sorted(names)))


def exact_fp32() -> None:
    """Have this process compute convolutions of fp32 in fp32; cuDNN would take TF32."""
    torch.backends.cudnn.allow_tf32 = False


def prepare_process() -> None:
    """Set a worker's process up: one thread, since there is a worker for each core."""
    torch.set_num_threads(1)
    exact_fp32()


def default_precision(pool: Pool, image_size: int) -> Precision:
    """The arithmetic in which the workers of a pool are expected to be fastest.

    bf16 nearly halves the bytes of activations, but has weights and some activations converted:
    67 further operations a step of StudentNet, whatever the size. A step of 32 images reads and
    writes, in fp32 and in bf16, .27 and .15 GB at 64 pixels, 1.06 and .58 GB at 128. So at 128
    pixels bf16 saves a card of 1 TB/s .48 ms, and costs .34 ms if an operation takes 5 µs to
    launch. That was counted by `experiments/speed/precision.py`, and not measured on a card.

    Args:
        pool: The workers.
        image_size: Side of the crops in pixels.
    """
    return "bf16" if pool.bf16 and image_size >= _BF16_PIXELS else "fp32"


def usable_cores() -> int:
    """Cores that this process may use, at least 1."""
    return (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )


def describe_hardware(pool: Pool) -> dict[str, str | int]:
    """What a reader of search.json should know of the machine."""
    return {
        "device_type": pool.device_type,
        "gpus": pool.gpus,
        "gpu_names": pool.gpu_names,
        "workers": pool.workers,
        "cores": usable_cores(),
    }
