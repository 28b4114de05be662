"""Latencies of networks of some widths, measured where a search's workers will run."""

import ray
import torch

from pruning import Architecture, LatencyLadder
from search.workers.devices import Pool, prepare_process
from search.workers.ray_start import start_ray

_SECONDS = 600  # a cluster's GPUs may be taken by somebody else


def measure_ladder(pool: Pool, architecture: Architecture, image_size: int) -> LatencyLadder:
    """Have one of a pool's workers time networks from the narrowest to the root's shape.

    Raises:
        BrokenOffError: Ray does not start.
        RayError: It cannot be measured.
    """
    start_ray(pool)
    cards = 1 if pool.gpus else 0
    task = ray.remote(_measure).options(num_cpus=1 - cards, num_gpus=cards)
    measured = task.remote(architecture, image_size, pool.device_type)
    ladder: LatencyLadder = ray.get(measured, timeout=_SECONDS)
    return ladder


def _measure(architecture: Architecture, image_size: int, device_type: str) -> LatencyLadder:
    prepare_process()
    return LatencyLadder.measured(architecture, image_size, torch.device(device_type))
