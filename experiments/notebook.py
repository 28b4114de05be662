"""The notebook's job, as a case of ours: five rounds of 0.95, and what a stale optimizer costs.

The notebook builds its optimizer once, for the network that the first round throws away. Every
later step updates weights that nobody uses: within a round only the running statistics of the
batch norms move, and the training loss stays flat. Here each round gets an optimizer for its own
network; with --stale-optimizer the notebook's way is taken instead, from the same root and with
the same draws, so that the difference between two logs is the bug.

From the repository's root, after `pip install -e .`:

    python experiments/notebook.py                    # on the digits, some minutes on one core
    python experiments/notebook.py --stale-optimizer
    python experiments/notebook.py --data food-11 --checkpoint student_custom_small.bin

A line an epoch, as the notebook prints it; lines of the root's training begin with `root`. The
best weights of each width by validation accuracy are in `custom_small_rate_{width}.bin`, for
`torch.load`. On the CPU the same seed gives the same lines, if torch's number of threads
(OMP_NUM_THREADS) is the same too; the script leaves that number as it is.

Results: notebook-digits.txt and notebook-digits-stale.txt, whose first lines say how they were
made. One run each (n = 1), 726 training and 716 validation images, torch 2.14.1 on one CPU core,
from one root of validation accuracy .987 (training loss .080):

    width                          .95    .9025  .8574  .8145  .7738
    training loss, first epoch     .180   .171   .165   .169   .132
                   last epoch      .160   .182   .125   .123   .156
        stale:     first epoch     .111   .126   .135   .144   .130
                   last epoch      .124   .127   .096   .121   .180
    best validation accuracy       .974   .983   .983   .985   .983
        stale                      .986   .986   .980   .986   .980

On so small and easy a set the bug costs nothing: five gentle rounds need no training, and steps
of a constant 1e-3 first throw a well-trained root back (its training loss doubles) and then slowly
mend it, while without any the loss only drifts upwards. What training a round can be worth when
its rate falls to 0 is in recipe.py.
"""

import io
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any

import torch
import tyro
from torch import nn
from tyro.conf import FlagCreatePairsOff, arg

from data import DataError, DataSource, ImageData, open_data
from models import student_channels
from pruning import (
    CheckpointError,
    Metrics,
    NonFiniteError,
    Recipe,
    Round,
    StudentArchitecture,
    evaluate,
    fine_tune,
    new_optimizer,
    read_checkpoint,
    slim,
    train_epoch,
    width_mult,
)
from pruning.durable import replace_file
from search.console import Console
from search.errors import RefusedError

ROUND = Round(rate=0.95, epochs=5, lr=1e-3)
ROUNDS = 5
_REFUSED, _INTERRUPTED = 2, 130


def _flag(metavar: str, text: str, *, default: str | None = None) -> Any:
    """Help of a flag; `default` says what None stands for."""
    shown = None if default is None else f"(default: {default})"
    return arg(metavar=metavar, help=text, help_behavior_hint=shown)


@dataclass(frozen=True, kw_only=True, slots=True)
class NotebookConfig:
    """Prune and fine-tune a StudentNet as the notebook does, with or without its bug.

    Five rounds that keep 0.95 of the width, each with five epochs at learning rate 0.001. Prints
    a line an epoch and keeps the best weights of each width as custom_small_rate_{width}.bin.
    """

    data: Annotated[
        str,
        _flag(
            "digits|fashion-mnist|DIR",
            "Images: scikit-learn's digits, Fashion-MNIST, or a folder such as food-11.",
        ),
    ] = "digits"
    data_root: Annotated[
        Path | None,
        _flag(
            "DIR",
            "Where fashion-mnist's idx files lie, or are downloaded to.",
            default="a cache folder",
        ),
    ] = None
    image_size: Annotated[
        int | None,
        _flag(
            "N",
            "Side of the crops that the network sees, at least 16 pixels.",
            default="32, or 256 for a folder",
        ),
    ] = None
    checkpoint: Annotated[
        Path | None,
        _flag(
            "FILE",
            "A trained StudentNet to prune, such as student_custom_small.bin.",
            default="train one",
        ),
    ] = None
    root_epochs: Annotated[
        int, _flag("N", "Epochs for which a network is trained where no --checkpoint is given.")
    ] = 20
    seed: Annotated[int, _flag("N", "Of everything that is drawn at random.")] = 0
    out: Annotated[Path, _flag("DIR", "Folder for the five files of weights.")] = Path()
    stale_optimizer: Annotated[
        FlagCreatePairsOff[bool],
        arg(help="Build the optimizer once, before the first round, as the notebook does."),
    ] = False

    def __post_init__(self) -> None:
        if self.root_epochs < 0:
            raise RefusedError(f"--root-epochs must be at least 0, got {self.root_epochs}.")
        if not 0 <= self.seed < 2**64:
            raise RefusedError(f"--seed must be at least 0 and below 2**64, got {self.seed}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trainer:
    """What an epoch needs, whichever network it trains."""

    data: ImageData
    recipe: Recipe
    generator: torch.Generator
    console: Console
    check_interrupt: Callable[[], None]

    def root(self, net: nn.Module) -> None:
        """Train a network that is not pruned yet, as the root of a search is trained."""

        def on_epoch(epoch: int, train: Metrics) -> None:
            self._validate("root", epoch, net, train)

        fine_tune(
            net,
            self.data,
            epochs=self.recipe.root_epochs,
            lr=self.recipe.root_lr,
            batch_size=self.recipe.batch_size,
            weight_decay=self.recipe.weight_decay,
            generator=self.generator,
            decay=True,
            on_epoch=on_epoch,
        )

    def optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        return new_optimizer(net, lr=ROUND.lr, weight_decay=self.recipe.weight_decay)

    def epoch(
        self, label: str, epoch: int, net: nn.Module, optimizer: torch.optim.Optimizer
    ) -> float:
        """Train and validate once, and say so; returns the validation accuracy."""
        train = train_epoch(
            net,
            self.data,
            optimizer,
            batch_size=self.recipe.batch_size,
            generator=self.generator,
        )
        return self._validate(label, epoch, net, train)

    def _validate(self, label: str, epoch: int, net: nn.Module, train: Metrics) -> float:
        valid = evaluate(net, self.data.validation, self.data.image_size)
        self.check_interrupt()
        self.console.line(
            f"{label} epoch {epoch:>3d}: train loss: {train.loss:6.4f}, acc {train.accuracy:6.4f}"
            f" valid loss: {valid.loss:6.4f}, acc {valid.accuracy:6.4f}"
        )
        return valid.accuracy


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the notebook's loop from the command line.

    Returns:
        The exit code: 0 done, 2 refused, 130 interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    complaints = Console(sys.stderr)
    try:
        config = tyro.cli(NotebookConfig, args=arguments)
        with _noting_interrupts() as check:
            run(config, Console(), check)
    except (RefusedError, DataError, CheckpointError) as error:
        complaints.line(str(error))
        return _REFUSED
    except NonFiniteError as error:
        complaints.line(f"Training diverged: {error}. Try another --seed or --checkpoint.")
        return _REFUSED
    except KeyboardInterrupt:
        complaints.line("Interrupted.")
        return _INTERRUPTED
    return 0


@contextmanager
def _noting_interrupts() -> Iterator[Callable[[], None]]:
    """Yields what raises KeyboardInterrupt if there was one that got lost, as some do in torch."""
    noted = False

    def note(*_: object) -> None:
        nonlocal noted
        noted = True
        raise KeyboardInterrupt

    def check() -> None:
        if noted:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


def run(config: NotebookConfig, console: Console, check_interrupt: Callable[[], None]) -> None:
    """Get a root, then prune and fine-tune it five times.

    Args:
        config: What was asked for.
        console: For the epochs.
        check_interrupt: Called after each of them.

    Raises:
        RefusedError, DataError, CheckpointError: It cannot be started; nothing was written.
        NonFiniteError: The network diverged.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net, architecture, data = _open(config)
    out = _writable(config.out)
    trainer = _Trainer(
        data=data.to(device),
        recipe=Recipe.named("notebook", batch_size=32, root_epochs=config.root_epochs),
        generator=torch.Generator().manual_seed(config.seed),
        console=console,
        check_interrupt=check_interrupt,
    )
    net = _placed(net, device)
    if config.checkpoint is None:
        trainer.root(net)
    _prune(net, architecture, trainer, out, stale=config.stale_optimizer)


def _open(config: NotebookConfig) -> tuple[nn.Module, StudentArchitecture, ImageData]:
    """The root, trained already if there is a checkpoint, with its architecture and the images."""
    checkpoint = None if config.checkpoint is None else read_checkpoint(config.checkpoint)
    data = _open_data(config)
    classes = len(data.classes)
    if checkpoint is not None and checkpoint.num_classes != classes:
        raise RefusedError(
            f"{config.checkpoint} tells {checkpoint.num_classes} classes apart, but {config.data} "
            f"has {classes}; give the images that it was trained on."
        )
    channels = student_channels() if checkpoint is None else checkpoint.channels
    architecture = StudentArchitecture(channels=channels, num_classes=classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        net = architecture.build(channels)
    if checkpoint is not None:
        net.load_state_dict(checkpoint.tensors)
    return net, architecture, data


def _open_data(config: NotebookConfig) -> ImageData:
    console = Console(sys.stderr)

    def progress(split: str, done: int, total: int) -> None:
        if console.status_is_due():
            console.status(f"reading the images of {split}: {done:,} of {total:,}")

    source = DataSource(data=config.data, data_root=config.data_root, image_size=config.image_size)
    try:
        return open_data(source, progress=progress)
    finally:
        console.close()


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):  # better now than after the first epoch
            pass
    except OSError as error:
        raise RefusedError(_unwritable(folder, error)) from error
    return folder


def _prune(
    net: nn.Module,
    architecture: StudentArchitecture,
    trainer: _Trainer,
    out: Path,
    *,
    stale: bool,
) -> None:
    """The five rounds, each going on from the last epoch of the one before.

    Source: notebook, training loop.
    """
    device = next(net.parameters()).device
    once = trainer.optimizer(net)
    for done in range(1, ROUNDS + 1):
        width = width_mult((ROUND,) * done)
        channels = architecture.channels_at(width)
        net = _placed(slim(net, architecture, channels, trainer.recipe.importance), device)
        optimizer = once if stale else trainer.optimizer(net)
        best = -1.0  # unlike the notebook's 0, so that each width has its file
        for epoch in range(ROUND.epochs):
            accuracy = trainer.epoch(f"rate {width:6.4f}", epoch, net, optimizer)
            if accuracy > best:
                best = accuracy
                _save(net, out / f"custom_small_rate_{width}.bin")


def _placed(net: nn.Module, device: torch.device) -> nn.Module:
    return net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _save(net: nn.Module, path: Path) -> None:
    file = io.BytesIO()
    torch.save({name: value.cpu().contiguous() for name, value in net.state_dict().items()}, file)
    try:
        replace_file(path, file.getvalue())
    except OSError as error:
        raise RefusedError(_unwritable(path, error)) from error


def _unwritable(path: Path, error: OSError) -> str:
    return f"{path} cannot be written ({error.strerror}); give another folder with --out."


if __name__ == "__main__":
    sys.exit(main())
