"""The configuration of a search: the command line is generated from it."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from tyro.conf import arg

from search.front.names import CostName
from search.paths import absolute, at_home, data_place
from search.rules import MANY_TRIALS, check_rules
from search.samplers.names import SamplerName

if TYPE_CHECKING:
    from search.samplers.space import SearchSpace

DEFAULT_ROOT_EPOCHS = 60
"""Of a root that is trained, without `--root-epochs`."""

DEFAULT_EPOCHS = 300
"""Of a search that is given neither `--max-epochs` nor `--trials`."""

_STUDENT_LRS, _OTHER_LRS = (1.5e-2, 3e-2, 6e-2), (5e-3, 1.5e-2)  # experiments/alternatives/log.txt


def _flag(metavar: str, text: str, *, default: str | None = None) -> Any:
    """Help of a flag; `default` says what None stands for."""
    shown = None if default is None else f"(default: {default})"
    return arg(metavar=metavar, help=text, help_behavior_hint=shown)


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """Find how far, and how fast, a trained network can be pruned.

    Trains a network, then searches for the sequences of prune-and-fine-tune rounds whose results
    form the best trade-off between validation accuracy and a cost, its parameters. Results are
    in the folder of --out: pareto.csv is the front, candidates.csv all networks that were made,
    stages/ their weights. Interrupt it at any time; --resume goes on where it stopped.

    Exit codes: 0, done; 2, refused, or broken off for a reason that is said; 130, interrupted.
    """

    data: Annotated[
        str,
        _flag(
            "digits|fashion-mnist|DIR",
            "Images: scikit-learn's digits, Fashion-MNIST, or a folder with training/, "
            "validation/ and testing/ (or train/, val/, test/), each with files named "
            "{class}_{index}.jpg, of classes that are numbers, or with one folder a class.",
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
    resize: Annotated[
        int | None,
        _flag(
            "N",
            "Scale images of a folder down, when they are read first, until their shorter side "
            "has N pixels; smaller ones stay. For crops of 224 pixels 256 is usual.",
            default="images keep their size",
        ),
    ] = None
    skip_broken: Annotated[
        bool,
        arg(
            help="Leave out image files of a folder that do not decode, which are refused "
            "otherwise; the start says which."
        ),
    ] = False
    model: Annotated[
        str,
        _flag(
            "NAME",
            "The network to prune: student, the notebook's StudentNet; torchvision:NAME; "
            "timm:NAME; or a factory of yours, package.module:factory or FILE.py:factory, which "
            "is called with num_classes= and returns a module that maps images (N, 3, H, W) to "
            "logits.",
        ),
    ] = "student"
    checkpoint: Annotated[
        Path | None,
        _flag(
            "FILE",
            "Trained weights of the network, such as the notebook's state dict; no code is run. "
            "A head for another number of classes is replaced by a new one.",
            default="train one",
        ),
    ] = None
    weights: Annotated[
        str | None,
        _flag(
            "NAME",
            "Published weights of a torchvision: or timm: network, downloaded if need be: "
            "default, or their name, such as IMAGENET1K_V2 or a tag of timm's. Their head is "
            "replaced by a new one.",
            default="train one",
        ),
    ] = None
    normalize: Annotated[
        Literal["none", "imagenet"] | tuple[float, float, float, float, float, float] | None,
        _flag(
            "none|imagenet|R G B R G B",
            "What the network does first with its images, RGB divided by 255: subtract a mean and "
            "divide by a standard deviation, of each colour.",
            default="none, or what --weights were trained with",
        ),
    ] = None
    batch_size: Annotated[int, _flag("N", "Images a training step.")] = 32
    root_epochs: Annotated[
        int | None,
        _flag(
            "N",
            "Epochs for which the network is trained before it is pruned; with --checkpoint or "
            "--weights, from there on.",
            default=f"{DEFAULT_ROOT_EPOCHS}, or 0 with weights whose head fits",
        ),
    ] = None
    recipe: Annotated[
        Literal["measured", "notebook"],
        arg(
            help="How rounds are run. measured: learning rate falling to 0, channels ranked by "
            "|γ|, a StudentNet's by how much of it passes their activation, batch-norm statistics "
            "taken anew in the end. notebook: constant rate, signed γ, as in the notebook, but "
            "with an optimizer for each round's own network."
        ),
    ] = "measured"
    unaugmented: Annotated[
        float | None,
        _flag(
            "SHARE",
            "Share of the epochs of the root and of each round, the last ones, whose images are "
            "not augmented: small networks learn more by them.",
            default="0.5, and the last five at least, or 0 with --recipe notebook",
        ),
    ] = None
    precision: Annotated[
        Literal["fp32", "bf16"] | None,
        _flag(
            "{fp32,bf16}",
            "Arithmetic of training and evaluation; weights are fp32 in either case.",
            default="fp32; bf16 on GPUs that have it, from 128 pixels on, where it should pay by "
            "a count of operations and bytes, not measured on a card",
        ),
    ] = None
    gpus: Annotated[
        int | None,
        _flag(
            "N",
            "GPUs to use; 0 runs on the CPU. With --address, of those that the cluster declares.",
            default="all that are visible, or that the cluster has and comes to have",
        ),
    ] = None
    trials_per_gpu: Annotated[
        int,
        _flag(
            "K",
            "How many trials share a GPU. They take turns, unless NVIDIA's MPS runs "
            "(nvidia-cuda-mps-control -d); experiments/speed/sharing.py measures what suits a "
            "machine.",
        ),
    ] = 1
    workers: Annotated[
        int | None, _flag("N", "How many trials run at once on the CPU.", default="one a core")
    ] = None
    trials: Annotated[
        int | None,
        _flag("N", "Schedules to try, over all runs of the search.", default="no limit"),
    ] = None
    max_epochs: Annotated[
        int | None,
        _flag(
            "N",
            "Fine-tuning epochs to execute over all runs, by which stage-tree decides how long "
            "rounds may be; no round that would pass it is started.",
            default=f"{DEFAULT_EPOCHS}, or no limit with --trials",
        ),
    ] = None
    max_hours: Annotated[
        float | None,
        _flag("H", "Hours over all runs, after which no round is started.", default="no limit"),
    ] = None
    stop_when_flat: Annotated[
        bool,
        arg(
            help="End the search when the last half of its epochs, of at least 100 in all, added "
            "less than 1 percent of the hypervolume."
        ),
    ] = False
    confirm: Annotated[
        int,
        _flag(
            "N",
            "When the search has ended, train the last round of each network on the front again "
            "with N other seeds, beyond --max-epochs; the mean and spread of their accuracies "
            "stand in its row.",
        ),
    ] = 0
    early_stop: Annotated[
        bool,
        arg(
            help="Stop a trial of several rounds (stage-tree's have one) when one has fallen far "
            "behind: below the lower quartile of at least five networks of about its size, and "
            "dominated."
        ),
    ] = True
    prune: Annotated[
        Literal["notebook", "all", "even"],
        arg(
            help="Which blocks of a StudentNet may lose channels. notebook: the four that it "
            "prunes. all: the last five, and from a tenth of their width on all alike, which "
            "makes far better networks of 15,000 parameters and less. even: the same, but the "
            "widest of the five first, which makes better ones of 700 and less."
        ),
    ] = "even"
    round_to: Annotated[
        int,
        _flag("N", "Leave channels in multiples of N, as accelerators like them."),
    ] = 1
    cost: Annotated[
        CostName,
        arg(
            help="What accuracy is traded against: params, parameters, frozen ones too; macs, "
            "multiply-adds for one image; bytes, of the fp32 weights and buffers; latency, "
            "milliseconds of a forward pass of one image, as a worker's device takes for it."
        ),
    ] = "params"
    rates: Annotated[
        tuple[float, ...],
        _flag(
            "RATE ...", "Choices of a round's rate: the share of the present width that is kept."
        ),
    ] = (0.1, 0.35, 0.6, 0.8)
    epochs: Annotated[
        tuple[int, ...], _flag("N ...", "Choices of a round's fine-tuning epochs.")
    ] = (5, 10, 20, 40)
    lrs: Annotated[
        tuple[float, ...] | None,
        _flag(
            "LR ...",
            "Choices of a round's learning rate.",
            default="0.015 0.03 0.06, or 0.005 0.015 with another --model than student",
        ),
    ] = None
    allocations: Annotated[
        tuple[Literal["uniform", "global"], ...],
        _flag(
            "{uniform,global} ...",
            "Choices of how a round divides the channels it keeps: uniform, every block keeps the "
            "same share; global, the most important channels of all blocks together.",
        ),
    ] = ("uniform",)
    starts: Annotated[
        tuple[Literal["inherit", "fresh"], ...],
        _flag(
            "{inherit,fresh} ...",
            "Choices of what a round trains: inherit, the kept channels with their weights, which "
            "must be one of them; fresh, a network of the same shape with new weights.",
        ),
    ] = ("inherit",)
    max_rounds: Annotated[int, _flag("R", "Rounds that a schedule may have.")] = 16
    sampler: Annotated[
        SamplerName,
        arg(
            help="What proposes schedules: stage-tree adds to a known network the round that is "
            "worth the most for its epochs, with what may follow it; the others are Optuna's "
            "(nsga2 in steady state) and propose whole schedules."
        ),
    ] = "stage-tree"
    out: Annotated[
        Path | None, _flag("DIR", "Folder of a new search.", default="results/<data>")
    ] = None
    resume: Annotated[
        Path | None,
        _flag(
            "DIR",
            "Folder of a search to go on with. It keeps its settings; --trials, --max-epochs, "
            "--max-hours, --stop-when-flat, --confirm, --gpus, --workers, --trials-per-gpu, "
            "--address, --data and --data-root may be given anew.",
            default="start a new search",
        ),
    ] = None
    quiet: Annotated[
        bool, arg(help="Write only what comes out, and what is wrong; no progress.")
    ] = False
    log_json: Annotated[
        Path | None,
        _flag("FILE", "Append what happens as JSON, one event a line.", default="no such log"),
    ] = None
    tensorboard: Annotated[
        bool,
        arg(
            help="Write event files for TensorBoard into tensorboard/ of the results folder: "
            "hypervolume and networks over executed epochs. Needs the package tensorboard."
        ),
    ] = False
    mlflow: Annotated[
        bool,
        arg(
            help="Keep the search as a run of MLflow's, with its settings, the same numbers, and "
            "its tables and page in the end: in the store of MLFLOW_TRACKING_URI, or else in "
            "mlflow.db here. Needs the package mlflow or mlflow-skinny."
        ),
    ] = False
    address: Annotated[
        str | None,
        _flag(
            "A",
            "Ray cluster to join: auto, or host:port. A private Ray is: local.",
            default="local",
        ),
    ] = None
    seed: Annotated[int, _flag("N", "Of everything that is drawn at random.")] = 0

    def __post_init__(self) -> None:
        check_rules(self)

    @property
    def trial_budget(self) -> int:
        """Schedules that the search may try."""
        return MANY_TRIALS if self.trials is None else self.trials

    @property
    def epoch_budget(self) -> int | None:
        """Fine-tuning epochs that the search may execute; None is no limit."""
        if self.max_epochs is None and self.trials is None:
            return DEFAULT_EPOCHS
        return self.max_epochs

    @property
    def trained_epochs(self) -> int:
        """Epochs of the root, if it is trained."""
        return DEFAULT_ROOT_EPOCHS if self.root_epochs is None else self.root_epochs

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """Choices of a round's learning rate."""
        usual = _STUDENT_LRS if self.model == "student" else _OTHER_LRS
        return usual if self.lrs is None else self.lrs

    @property
    def folder(self) -> Path:
        """Where the results lie."""
        name = os.fsencode(Path(data_place(self.data)).name).decode(
            errors="replace"
        )  # SQLite wants UTF-8
        return self.resume or self.out or Path("results") / name

    def at_home(self) -> Self:
        """The configuration with `~` expanded, which a shell leaves alone in --checkpoint=~/x.

        A file of --model is named by its absolute path.
        """
        paths = ("data_root", "checkpoint", "out", "resume", "log_json")
        given: dict[str, Any] = {
            name: at_home(path) for name in paths if (path := getattr(self, name)) is not None
        }
        place, _, factory = self.model.rpartition(":")
        if place.endswith(".py"):
            given["model"] = f"{at_home(Path(place)).absolute()}:{factory}"
        return replace(self, **given)

    def space(self) -> "SearchSpace":
        """The schedules that the search may try."""
        from search.samplers.space import SearchSpace  # spares --help the seconds of torch

        return SearchSpace(
            rates=self.rates,
            epochs=self.epochs,
            lrs=self.learning_rates,
            max_rounds=self.max_rounds,
            allocations=self.allocations,
            starts=self.starts,
        )

    def resolved(
        self,
        *,
        image_size: int,
        precision: Literal["fp32", "bf16"] | None = None,
        weights: str | None = None,
        normalize: tuple[float, float, float, float, float, float] | None = None,
    ) -> Self:
        """The configuration as it is kept: nothing depends on the folder it was started from.

        Args:
            image_size: Side of the crops in pixels.
            precision: What to keep where none was asked for.
            weights: The name of those that were asked for.
            normalize: What to keep where nothing was asked for.
        """
        return replace(
            self,
            data=data_place(self.data),
            data_root=absolute(self.data_root),
            checkpoint=absolute(self.checkpoint),
            image_size=image_size,
            precision=self.precision or precision,
            weights=weights or self.weights,
            lrs=self.learning_rates,
            normalize=self.normalize or normalize,
            out=None,
            resume=None,
            quiet=False,
            log_json=None,
            tensorboard=False,
            mlflow=False,
        )
