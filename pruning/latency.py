"""How long a network takes for one image, on the device that this process trains on.

Machines are shared and change their clocks, so that a network timed twice, minutes apart, may
differ by a quarter. So each is timed in turns with one that stays the same, the root's shape, and
what it takes is told as a share of that.
"""

import platform
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Self, get_type_hints

import numpy as np
import torch
from torch import Tensor, nn
from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from pruning.errors import StoreError
from pruning.groups import Architecture

_EVERY_ITEM = CollectionCheckStrategy.ALL_ITEMS
_WARM_UP = 3
_MOST, _LEAST = 40, 10  # passes
_SECONDS = 1.0  # after which slow networks have been timed enough
_WIDTHS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0)


class Stopwatch:
    """Times networks beside one of the root's shape.

    Args:
        architecture: Of the networks.
        image_size: Side of the square image that they are given, in pixels.
        device: Where they run.
        root_ms: What the root's shape is said to take, in milliseconds, so that processes agree;
            by default it is timed now.
    """

    def __init__(
        self,
        architecture: Architecture,
        image_size: int,
        device: torch.device,
        root_ms: float | None = None,
    ) -> None:
        self._image = torch.zeros(1, 3, image_size, image_size, device=device).contiguous(
            memory_format=torch.channels_last
        )
        self._root = architecture.build(architecture.channels)
        self._root.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.root_ms = root_ms or 1e3 * self._medians(self._root, self._root)[1]
        """What the root's shape takes, in milliseconds."""

    def latency_ms(self, net: nn.Module) -> float:
        """Milliseconds of a forward pass of one image, in fp32 and as torch runs it eagerly.

        Medians of 40 passes, of slow networks fewer, of this network and of the root's shape in
        turns. On a CPU with one thread it is the time of that thread, which stands still while
        others have its core.

        Args:
            net: The network, on this device; it is left in evaluation mode.
        """
        root, taken = self._medians(self._root, net)
        return self.root_ms * taken / root

    @torch.inference_mode()
    def _medians(self, *nets: nn.Module) -> list[float]:
        """Median seconds of each of some networks, run in turns."""
        for net in nets:
            net.eval()
            for _ in range(_WARM_UP):
                self._seconds(net)
        turns: list[list[float]] = []
        while len(turns) < _LEAST or (len(turns) < _MOST and np.sum(turns) < _SECONDS):
            turns.append([self._seconds(net) for net in nets])
        return [median(times) for times in zip(*turns, strict=True)]

    def _seconds(self, net: nn.Module) -> float:
        alone = self._image.device.type == "cpu" and torch.get_num_threads() == 1
        clock = time.thread_time if alone else time.perf_counter
        start = clock()
        _run(net, self._image)
        return clock() - start


def _run(net: nn.Module, image: Tensor) -> None:
    net(image)
    if image.is_cuda:
        torch.cuda.synchronize(image.device)


def device_name(device: torch.device) -> str:
    """What latencies of this process are measured on: the model of its GPU or processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor_name()}, {torch.get_num_threads()} thread(s)"


def processor_name() -> str:
    """The model of this machine's processor, as far as its system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyLadder:
    """Latencies of networks at some widths, from which those of others are reckoned.

    Attributes:
        device: What they were measured on.
        widths: Relative to the root, from 0, the least, to 1.
        milliseconds: Of the networks at these widths; none is below that of a narrower one.
    """

    device: str
    widths: tuple[float, ...]
    milliseconds: tuple[float, ...]

    @classmethod
    def measured(cls, architecture: Architecture, image_size: int, device: torch.device) -> Self:
        """Measure it; what a network seems to take less than a narrower one is noise."""
        stopwatch = Stopwatch(architecture, image_size, device)
        found = []
        for width in _WIDTHS:
            net = architecture.build(architecture.channels_at(width))
            net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            found.append(min(stopwatch.latency_ms(net), stopwatch.root_ms))
        return cls(
            device=device_name(device),
            widths=_WIDTHS,
            milliseconds=tuple(np.maximum.accumulate([*found[:-1], stopwatch.root_ms]).tolist()),
        )

    @classmethod
    def from_json(cls, record: object) -> Self:
        """What `dataclasses.asdict` made of one.

        Raises:
            StoreError: It is damaged.
        """
        try:
            values: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in check_type(record, dict[str, Any]).items()
            }
            for name, hint in get_type_hints(cls).items():
                check_type(values[name], hint, collection_check_strategy=_EVERY_ITEM)
            return cls(**values)
        except (KeyError, TypeError, TypeCheckError) as error:
            raise StoreError(f"the latencies to expect are damaged: {error}") from error

    @property
    def root_ms(self) -> float:
        """What the root takes."""
        return self.milliseconds[-1]

    def at(self, width: float) -> float:
        """Milliseconds to expect at a width; between two of the ladder's, on the line."""
        return float(np.interp(width, self.widths, self.milliseconds))
