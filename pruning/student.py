"""StudentNet's answers to what pruning asks of an architecture."""

from collections.abc import Sequence
from dataclasses import dataclass

from models import StudentNet, multiply_adds, parameter_count
from pruning.groups import ChannelGroup

_PRUNABLE = range(3, 7)  # the notebook's choice: the wide, late blocks hold 97 % of the weights
_NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentArchitecture:
    """A StudentNet of given root channels as an `Architecture`.

    Attributes:
        channels: The eight blocks' channels of the root.
        num_classes: Size of the output.

    Source: notebook, table "一些實作細節" and `network_slimming`.
    """

    channels: tuple[int, ...]
    num_classes: int

    def channels_at(self, width_mult: float, of: Sequence[int] | None = None) -> tuple[int, ...]:
        """Blocks 3 to 6 at `width_mult` of their channels, truncated, at least one."""
        return tuple(
            max(1, int(count * width_mult)) if block in _PRUNABLE else count
            for block, count in enumerate(self.channels if of is None else of)
        )

    def build(self, channels: Sequence[int]) -> StudentNet:
        """A freshly initialised StudentNet."""
        return StudentNet(channels=channels, num_classes=self.num_classes)

    def groups(self) -> tuple[ChannelGroup, ...]:
        """One group per block but the last, whose outputs the classifier reads.

        The batch norm of a block follows its depthwise convolution, so it ranks the channels
        that the block *before* puts out.
        """
        return tuple(_outputs_of(block) for block in range(len(self.channels) - 1))

    def params(self, channels: Sequence[int]) -> int:
        """Trainable parameters."""
        return parameter_count(channels, self.num_classes)

    def macs(self, channels: Sequence[int], image_size: int) -> int:
        """Multiply-adds for one image."""
        return multiply_adds(channels, self.num_classes, image_size)


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
    )
