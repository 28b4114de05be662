"""What accuracy is traded against."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pruning import Architecture, LatencyLadder, Stage
from search.front.names import UNITS, CostName

_STEP = math.log(1.05)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pricing:
    """What networks of one kind cost.

    Attributes:
        name: Of the cost.
        architecture: The networks'.
        image_size: Side of their images in pixels.
        ladder: What latencies to expect; needed where they are the cost.
    """

    name: CostName
    architecture: Architecture
    image_size: int
    ladder: LatencyLadder | None = None

    def at(self, width: float) -> float:
        """Cost of the network at a width relative to the root, from 0, the least, to 1."""
        if self.ladder is not None:
            return self.ladder.at(width)
        channels = self.architecture.channels_at(width)
        match self.name:
            case "params":
                return self.architecture.params(channels)
            case "macs":
                return self.architecture.macs(channels, self.image_size)
            case "bytes":
                return self.architecture.size_bytes(channels)
            case "latency":
                raise ValueError("latencies are measured: they need a ladder")


def cost_of(stage: Stage, name: CostName) -> float:
    """Cost of a stage.

    Latencies are told in steps of 5 %, about what their measurement is worth, so that a network
    does not come onto the front by less.
    """
    match name:
        case "params":
            return stage.params
        case "macs":
            return stage.macs
        case "bytes":
            return stage.size_bytes
        case "latency":
            return math.inf if stage.latency_ms is None else _in_steps(stage.latency_ms)


def _in_steps(milliseconds: float) -> float:
    return math.exp(_STEP * round(math.log(milliseconds) / _STEP))


def costs_of(stages: Iterable[Stage], name: CostName) -> list[float]:
    """Costs of some stages, in their order."""
    return [cost_of(stage, name) for stage in stages]


def shown(cost: float, name: CostName) -> str:
    """A cost with its unit."""
    return f"{cost:.3g} ms" if name == "latency" else f"{cost:,} {UNITS[name]}"
