"""What accuracy is traded against."""

from collections.abc import Iterable
from dataclasses import dataclass

from pruning import Architecture, Stage
from search.front.names import CostName


@dataclass(frozen=True, kw_only=True, slots=True)
class Pricing:
    """What networks of one kind cost.

    Attributes:
        name: Of the cost.
        architecture: The networks'.
        image_size: Side of their images in pixels.
    """

    name: CostName
    architecture: Architecture
    image_size: int

    def at(self, width: float) -> int:
        """Cost of the network at a width relative to the root, from 0, the least, to 1."""
        channels = self.architecture.channels_at(width)
        match self.name:
            case "params":
                return self.architecture.params(channels)
            case "macs":
                return self.architecture.macs(channels, self.image_size)
            case "bytes":
                return self.architecture.size_bytes(channels)


def cost_of(stage: Stage, name: CostName) -> int:
    """Cost of a stage."""
    match name:
        case "params":
            return stage.params
        case "macs":
            return stage.macs
        case "bytes":
            return stage.size_bytes


def costs_of(stages: Iterable[Stage], name: CostName) -> list[int]:
    """Costs of some stages, in their order."""
    return [cost_of(stage, name) for stage in stages]
