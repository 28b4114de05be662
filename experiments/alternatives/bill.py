"""What an arm whose networks are no stages has spent, and how its networks become candidates."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import safetensors.torch
import torch
from torch import nn

from data import Split
from experiments.alternatives.case import Candidate, Case, shown
from pruning import Round, evaluate


class Bill:
    """Epochs and seconds of an arm, the root's from the start.

    Args:
        case: Whose root it is.

    Attributes:
        root: Its network.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        self._data = case.runner.data
        stage = case.rounds.root()
        self._epochs = case.plan.root_epochs
        self._seconds = stage.seconds
        net = case.architecture.build(stage.channels)
        net.load_state_dict(safetensors.torch.load(case.store.weights(stage.id)))
        self.root = placed(net).eval()

    @contextmanager
    def paying(self, epochs: int) -> Iterator[None]:
        """Counts epochs, and the seconds that pass inside."""
        self._epochs += epochs
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds += time.perf_counter() - start

    def val_accuracy(self, net: nn.Module) -> float:
        """Accuracy on the validation split."""
        return self._accuracy(net, self._data.validation)

    def candidate(
        self,
        net: nn.Module,
        channels: Sequence[int],
        val_accuracy: float,
        rounds: Sequence[Round] = (),
    ) -> Candidate:
        """A network with what was spent until now; looks at the test split, for nothing."""
        return Candidate(
            epochs=self._epochs,
            seconds=self._seconds,
            params=self._case.architecture.params(channels),
            val_accuracy=val_accuracy,
            test_accuracy=self._accuracy(net, self._data.test),
            made_by=shown(rounds),
        )

    def _accuracy(self, net: nn.Module, split: Split) -> float:
        return evaluate(net, split, self._data.image_size).accuracy


def placed(net: nn.Module) -> nn.Module:
    """The network in the memory format in which it is trained."""
    return net.to(memory_format=torch.channels_last)
