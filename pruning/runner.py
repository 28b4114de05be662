"""Runs rounds: from a parent's weights to a stage."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import safetensors.torch
import torch
from torch import Tensor, nn

from data import ImageData, Split
from pruning.allocation import allocate
from pruning.groups import Architecture, load_tensors
from pruning.importance import slim
from pruning.latency import Stopwatch, device_name
from pruning.rounds import Round, Schedule
from pruning.stages import Draft, Origin, stage_seed
from pruning.training import Metrics, evaluate, fine_tune, recalibrate

OnEpoch = Callable[[int, Metrics], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundRunner:
    """What a process needs to run any round of one search.

    Attributes:
        architecture: The root's kind of network.
        data: The images; those splits that are used, on `device`.
        origin: What the stages' ids are made of.
        device: Where to train.
        checkpoint: State dict of a trained root, but for a head that is to be new; without it the
            root is trained here.
        trains_on: Whether the root is trained here from the checkpoint on.
        stopwatch: Times the networks that are made, if it is given.
    """

    architecture: Architecture
    data: ImageData
    origin: Origin
    device: torch.device
    checkpoint: Mapping[str, Tensor] | None = None
    trains_on: bool = False
    stopwatch: Stopwatch | None = None

    def root(self, on_epoch: OnEpoch | None = None) -> tuple[Draft, bytes]:
        """Train the root, or take it from the checkpoint, or both.

        Returns:
            The stage and the content of its `model.safetensors`.

        Raises:
            NonFiniteError: Training diverged.
        """
        start = time.perf_counter()
        stage_id = self.origin.stage_id(None, None)
        recipe = self.origin.recipe
        net = self._placed(self._fresh(self.architecture.channels, stage_id))
        if self.checkpoint is not None:
            load_tensors(net, {**net.state_dict(), **self.checkpoint})
        if self.checkpoint is None or self.trains_on:
            self._train(net, stage_id, recipe.root_epochs, recipe.root_lr, on_epoch, decay=True)
        return self._stage(net, self.architecture.channels, stage_id, None, (), start)

    def child(
        self,
        parent: Draft,
        weights: bytes,
        round_: Round,
        on_epoch: OnEpoch | None = None,
    ) -> tuple[Draft, bytes]:
        """Prune a stage and fine-tune what is left, or a fresh network of its shape.

        Args:
            parent: The stage to start from.
            weights: Content of its `model.safetensors`.
            round_: What to do.
            on_epoch: Called after each epoch with its index and training metrics.

        Returns:
            The new stage and the content of its `model.safetensors`.

        Raises:
            NonFiniteError: Training diverged.
        """
        start = time.perf_counter()
        stage_id = self.origin.stage_id(parent.id, round_)
        schedule = (*parent.schedule, round_)
        wide = self.architecture.build(parent.channels)
        load_tensors(wide, safetensors.torch.load(weights))
        recipe = self.origin.recipe
        channels = allocate(wide, self.architecture, parent.channels, schedule, recipe.importance)
        if round_.start == "fresh":
            net = self._placed(self._fresh(channels, stage_id))
        else:
            net = self._placed(slim(wide, self.architecture, channels, recipe.importance))
        self._train(net, stage_id, round_.epochs, round_.lr, on_epoch, decay=recipe.decay)
        return self._stage(net, channels, stage_id, parent.id, schedule, start)

    def test_accuracy(self, stage: Draft, weights: bytes) -> float:
        """Accuracy of a stage on the test split, in [0, 1]."""
        net = self.architecture.build(stage.channels)
        load_tensors(net, safetensors.torch.load(weights))
        return self._evaluate(self._placed(net), self.data.test).accuracy

    def _fresh(self, channels: tuple[int, ...], stage_id: str) -> nn.Module:
        """A network whose first weights are drawn from a stage's id."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stage_seed(stage_id))
            return self.architecture.build(channels)

    def _train(
        self,
        net: nn.Module,
        stage_id: str,
        epochs: int,
        lr: float,
        on_epoch: OnEpoch | None,
        *,
        decay: bool,
    ) -> None:
        recipe, precision = self.origin.recipe, self.origin.precision
        generator = torch.Generator().manual_seed(stage_seed(stage_id))
        fine_tune(
            net,
            self.data,
            epochs=epochs,
            lr=lr,
            batch_size=recipe.batch_size,
            weight_decay=recipe.weight_decay,
            generator=generator,
            decay=decay,
            warm_up=recipe.warm_up,
            unaugmented=recipe.unaugmented_of(epochs),
            precision=precision,
            on_epoch=on_epoch,
        )
        if recipe.recalibrate:
            recalibrate(net, self.data, generator=generator, precision=precision)

    def _evaluate(self, net: nn.Module, split: Split) -> Metrics:
        return evaluate(net, split, self.data.image_size, self.origin.precision)

    def _placed(self, net: nn.Module) -> nn.Module:
        return net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def _stage(
        self,
        net: nn.Module,
        channels: tuple[int, ...],
        stage_id: str,
        parent: str | None,
        schedule: Schedule,
        start: float,
    ) -> tuple[Draft, bytes]:
        metrics = self._evaluate(net, self.data.validation)
        tensors = {name: tensor.cpu().contiguous() for name, tensor in net.state_dict().items()}
        draft = Draft(
            id=stage_id,
            parent=parent,
            schedule=schedule,
            channels=channels,
            params=self.architecture.params(channels),
            macs=self.architecture.macs(channels, self.data.image_size),
            size_bytes=sum(tensor.nbytes for tensor in tensors.values()),
            val_loss=metrics.loss,
            val_accuracy=metrics.accuracy,
            seconds=time.perf_counter() - start,
        )
        if self.stopwatch is not None:
            draft = replace(
                draft,
                latency_ms=self.stopwatch.latency_ms(net),
                latency_on=device_name(self.device),
            )
        return draft, safetensors.torch.save(tensors)
