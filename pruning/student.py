"""StudentNet's answers to what pruning asks of an architecture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch.nn.functional as F

from models import Normalization, StudentNet, multiply_adds, normalized, parameter_count
from pruning.groups import ChannelGroup, in_multiples

Prune: TypeAlias = Literal["notebook", "all", "even"]
"""Which blocks may lose channels.
`notebook`: blocks 3 to 6, which hold 97 % of the weights.
`all`: blocks 3 to 7 down to a tenth of their width, and from there on all blocks alike.
`even`: the same, but the widest of blocks 3 to 7 first, so that they end with as many channels
each: the narrowest of them, block 3, would else be a bottleneck of one or two."""

_NOTEBOOK = range(3, 7)
_EARLY = range(3)
_KNEE = 0.1  # width from which on early blocks shrink too; experiments/alternatives/log.txt
_FLOAT_BYTES, _COUNTER_BYTES = 4, 8
_NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentArchitecture:
    """A StudentNet of given root channels as an `Architecture`.

    Attributes:
        channels: The eight blocks' channels of the root.
        num_classes: Size of the output.
        prune: Which blocks may lose channels.
        round_to: Of what counts are multiples, where the root's allow.
        normalization: What networks do with their images first, if anything.

    Source: notebook, table "一些實作細節" and `network_slimming`.
    """

    channels: tuple[int, ...]
    num_classes: int
    prune: Prune = "notebook"
    round_to: int = 1
    normalization: Normalization | None = None

    def channels_at(self, width_mult: float, of: Sequence[int] | None = None) -> tuple[int, ...]:
        """The blocks that may be pruned at their share, truncated; see `in_multiples`."""
        counts = self.channels if of is None else of
        return tuple(
            in_multiples(int(self._left(counts, block, width_mult)), count, self.round_to)
            for block, count in enumerate(counts)
        )

    def _left(self, counts: Sequence[int], block: int, width_mult: float) -> float:
        """Channels that a width leaves of a block, in fractions."""
        count = counts[block]
        if self.prune == "notebook":
            return count * (width_mult if block in _NOTEBOOK else 1.0)
        if block in _EARLY:
            return count * min(1.0, width_mult / _KNEE)
        if self.prune == "even":
            return min(count, max(counts[len(_EARLY) :]) * width_mult)
        return count * width_mult

    def build(self, channels: Sequence[int]) -> StudentNet:
        """A freshly initialised StudentNet."""
        net = StudentNet(channels=channels, num_classes=self.num_classes)
        return normalized(net, self.normalization)

    def groups(self) -> tuple[ChannelGroup, ...]:
        """One group per block; the notebook's rule leaves the last block whole.

        The batch norm of a block follows its depthwise convolution, so it ranks the channels
        that the block *before* puts out. The last block's outputs, which the classifier reads,
        pass through none.
        """
        last = len(self.channels) - 1
        inner = tuple(_outputs_of(block) for block in range(last))
        return inner if self.prune == "notebook" else (*inner, _read_by_classifier(last))

    def params(self, channels: Sequence[int]) -> int:
        """Trainable parameters."""
        return parameter_count(channels, self.num_classes)

    def size_bytes(self, channels: Sequence[int]) -> int:
        """Bytes of the state dict: each block's batch norm has two averages and a counter."""
        averages = 2 * (channels[0] + sum(channels[:-1]))
        return _FLOAT_BYTES * (self.params(channels) + averages) + _COUNTER_BYTES * len(channels)

    def macs(self, channels: Sequence[int], image_size: int) -> int:
        """Multiply-adds for one image."""
        return multiply_adds(channels, self.num_classes, image_size)


def _read_by_classifier(block: int) -> ChannelGroup:
    produced = [(f"cnn.{block}.3.{tensor}", 0) for tensor in ("weight", "bias")]
    return ChannelGroup(block=block, batch_norm=None, ties=(*produced, ("fc.0.weight", 1)))


def _outputs_of(block: int) -> ChannelGroup:
    consumer = block + 1
    layer = 0 if block == 0 else 3
    produced = [(f"cnn.{block}.{layer}.{tensor}", 0) for tensor in ("weight", "bias")]
    if block == 0:
        produced += [(f"cnn.0.1.{tensor}", 0) for tensor in _NORM_TENSORS]
    depthwise = [(f"cnn.{consumer}.0.{tensor}", 0) for tensor in ("weight", "bias")]
    norm = [(f"cnn.{consumer}.1.{tensor}", 0) for tensor in _NORM_TENSORS]
    pointwise_inputs = (f"cnn.{consumer}.3.weight", 1)
    return ChannelGroup(
        block=block,
        batch_norm=f"cnn.{consumer}.1",
        ties=(*produced, *depthwise, *norm, pointwise_inputs),
        activation=F.relu6,
    )
