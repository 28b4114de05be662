"""The network that a search prunes: what it is, and what it is made of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from torch import Tensor

from data import ImageData
from models import (
    IMAGENET,
    MissingWeightsError,
    NamedNetwork,
    NetworkError,
    Normalization,
    student_channels,
)
from pruning import (
    Architecture,
    CheckpointError,
    GraphArchitecture,
    Importance,
    Origin,
    Precision,
    Recipe,
    StudentArchitecture,
    UnprunableError,
)
from search.configuration import SearchConfig
from search.errors import RefusedError
from search.given import GivenWeights, check_presence, weights_for, weights_for_student
from search.results.folder import ResultsFolder

STUDENT = "student"
"""The name of the notebook's network, which has groups in closed form."""

# Of what a root is made of, where it is so: once there was no choice.
_TRAINED_ON, _NEW_HEAD, _NORMALIZE = "trained_on", "new_head", "normalize"


@dataclass(frozen=True, kw_only=True, slots=True)
class Root:
    """The network that a search prunes.

    Attributes:
        architecture: Its kind.
        made_of: What stages' ids are made of.
        given: The weights it begins with; without them it is trained from scratch.
        missing: Why the weights that a resumed search began with cannot be had.
    """

    architecture: Architecture
    made_of: Mapping[str, Any]
    given: GivenWeights | None = None
    missing: str | None = None

    @property
    def tensors(self) -> Mapping[str, Tensor] | None:
        """Of the weights it begins with."""
        return None if self.given is None else self.given.tensors

    @property
    def trains_on(self) -> bool:
        """Whether it is trained from given weights on."""
        return _TRAINED_ON in self.made_of

    @property
    def taken_whole(self) -> bool:
        """Whether it is what was given, and nothing else."""
        given = self.made_of["checkpoint"] is not None
        return given and not self.trains_on and _NEW_HEAD not in self.made_of

    @property
    def settled(self) -> dict[str, Any]:
        """What --weights and --normalize turned out to be, where that was left open."""
        if self.given is None or self.given.normalization is None:
            return {}
        return {"weights": self.given.name, "normalize": self.given.normalization.numbers}

    def notes(self, config: SearchConfig) -> Iterator[str]:
        """What to say of it when a search begins."""
        if self.given is None:
            return
        given, epochs = self.given, config.trained_epochs
        if given.normalization is not None and config.normalize is None:
            yield f"The network normalises as {given.source} needs it: {given.normalization}."
        length = f"{epochs} epoch" + "s" * (epochs != 1)
        training = f"it is trained for {length}" if self.trains_on else "it is not trained"
        if given.other_classes is not None:
            yield (
                f"The head of {given.source} tells {given.other_classes:,} classes apart, and is "
                f"replaced by a new one for {self.made_of['num_classes']:,}; with that "
                f"{training} (--root-epochs)."
            )
        elif self.trains_on:
            yield f"The network has the weights of {given.source}; from there on {training}."


def find_root(config: SearchConfig, folder: ResultsFolder, data: ImageData) -> Root:
    """The network to prune: with weights that are given, or to be trained.

    Raises:
        RefusedError: There is no such network, it cannot be pruned, or the weights do not fit it
            or cannot be had.
    """
    earlier = None if config.resume is None else folder.read()["root"]
    find = _student_root if config.model == STUDENT else _named_root
    try:
        check_presence(config)
        root = find(config, data, earlier)
    except MissingWeightsError as error:
        if earlier is None:
            raise RefusedError(f"--model {config.model}: {error}") from error
        # The store has what was made of them.
        of_before = architecture_of(config, earlier)
        return Root(architecture=of_before, made_of=earlier, missing=str(error))
    if root.architecture.channels_at(0) == root.architecture.channels:
        if config.round_to > 1:
            raise RefusedError(
                f"--round-to {config.round_to} leaves nothing to prune of "
                f"{config.checkpoint or config.model}, whose layers have no more channels.\n"
                "Give a smaller one."
            )
        raise RefusedError(
            f"{config.checkpoint or config.model} has no channel left to prune; give a wider one."
        )
    return root


def architecture_of(config: SearchConfig, made_of: Mapping[str, Any]) -> Architecture:
    """The architecture of a search, by its configuration and the root of its search.json.

    Raises:
        RefusedError: The network of --model is not what it was.
    """
    if config.model == STUDENT:
        return StudentArchitecture(
            channels=tuple(made_of["channels"]),
            num_classes=made_of["num_classes"],
            prune=made_of.get("prune", "notebook"),
            round_to=config.round_to,
            normalization=_kept_normalization(made_of),
        )
    if config.image_size is None:
        raise RefusedError("The configuration in search.json is damaged: it has no image size.")
    network = _network(config, made_of["num_classes"])
    architecture = _graph(config, network, config.image_size, _kept_normalization(made_of))
    now = _identity(config, network, architecture)
    if now != {name: made_of.get(name) for name in now}:
        raise RefusedError(
            f"--model {config.model} is another network than this search was started with.\n"
            f"{_way_back(now['network'], made_of.get('network', {}))}"
        )
    return architecture


def _way_back(now: Mapping[str, str], before: Mapping[str, str]) -> str:
    """How to have the network again that a search was started with."""
    if now != before and "sha256" in before:
        return f"Put its file back as it was: of SHA-256 {before['sha256']}, by search.json."
    return "Have its code, and the libraries that search.json names, as they were."


def origin_of(
    config: SearchConfig,
    made_of: Mapping[str, Any],
    *,
    data_fingerprint: str,
    device_type: str,
    precision: Precision,
    kept: Mapping[str, Any] | None = None,
) -> Origin:
    """What shapes the networks of a search, but for their schedules.

    Args:
        config: Its configuration.
        made_of: What its root is made of.
        data_fingerprint: Of its images.
        device_type: Where it trains.
        precision: Of its arithmetic.
        kept: The recipe in its search.json, of a search that is there: the root's learning rate,
            the ranking of channels and what short rounds see stay what they were.
    """
    recipe = Recipe.named(
        config.recipe,
        batch_size=config.batch_size,
        root_epochs=config.trained_epochs,
        student=config.model == STUDENT,
        trains_on=_TRAINED_ON in made_of,
        unaugmented=config.unaugmented,
    )
    if kept is not None:
        if isinstance(root_lr := kept.get("root_lr"), float):
            recipe = replace(recipe, root_lr=root_lr)
        importances: tuple[Importance, ...] = get_args(Importance)
        for importance in importances:
            if importance == kept.get("importance"):
                recipe = replace(recipe, importance=importance)
        if isinstance(least := kept.get("least_unaugmented", 0), int):
            recipe = replace(recipe, least_unaugmented=least)
    return Origin(
        recipe=recipe,
        seed=config.seed,
        data_fingerprint=data_fingerprint,
        root=made_of,
        device_type=device_type,
        precision=precision,
    )


def _student_root(
    config: SearchConfig, data: ImageData, earlier: Mapping[str, Any] | None
) -> Root:
    classes = len(data.classes)
    try:
        found = weights_for_student(config, classes)
    except CheckpointError as error:
        raise RefusedError(str(error)) from error
    channels, given = found or (student_channels(), None)
    made_of: dict[str, Any] = {
        "channels": list(channels),
        "num_classes": classes,
        "checkpoint": None if given is None else given.sha256,
    }
    # Stages' ids are made of this; once there was no choice.
    if config.prune != "notebook":
        made_of["prune"] = config.prune
    if config.round_to != 1:
        made_of["round_to"] = config.round_to
    made_of |= _chosen(config, given, earlier, _normalization(config, given))
    return Root(architecture=architecture_of(config, made_of), made_of=made_of, given=given)


def _named_root(config: SearchConfig, data: ImageData, earlier: Mapping[str, Any] | None) -> Root:
    classes = len(data.classes)
    network = _network(config, classes)
    bare = _graph(config, network, data.image_size, None)
    if bare.num_classes != classes:
        raise RefusedError(
            f"--model {config.model} puts out {bare.num_classes} numbers, but --data "
            f"{config.data} has {classes} classes.\nIts factory must use num_classes."
        )
    try:
        given = weights_for(config, network)
    except MissingWeightsError:
        raise
    except (NetworkError, CheckpointError) as error:
        raise RefusedError(f"--model {config.model}: {error}") from error
    normalization = _normalization(config, given)
    return Root(
        architecture=bare.normalizing(normalization),
        made_of={
            **_identity(config, network, bare),
            "checkpoint": None if given is None else given.sha256,
            **_chosen(config, given, earlier, normalization),
        },
        given=given,
    )


def _network(config: SearchConfig, classes: int) -> NamedNetwork:
    try:
        return NamedNetwork.found(config.model, classes)
    except NetworkError as error:
        raise RefusedError(f"--model {config.model}: {error}") from error


def _graph(
    config: SearchConfig,
    network: NamedNetwork,
    image_size: int,
    normalization: Normalization | None,
) -> GraphArchitecture:
    try:
        architecture = GraphArchitecture.of(
            network, image_size=image_size, round_to=config.round_to
        )
    except UnprunableError as error:
        raise RefusedError(
            f"--model {config.model}: {error}\n"
            "Give another network, or the --image-size that it is made for."
        ) from error
    except NetworkError as error:
        raise RefusedError(f"--model {config.model}: {error}") from error
    return architecture.normalizing(normalization)


def _identity(
    config: SearchConfig, network: NamedNetwork, architecture: GraphArchitecture
) -> dict[str, Any]:
    return {
        "network": network.made_of,
        "channels": list(architecture.channels),
        "num_classes": architecture.num_classes,
        "round_to": config.round_to,
    }


def _chosen(
    config: SearchConfig,
    given: GivenWeights | None,
    earlier: Mapping[str, Any] | None,
    normalization: Normalization | None,
) -> dict[str, Any]:
    """What a root is made of besides, where something was chosen."""
    chosen: dict[str, Any] = {}
    if normalization is not None:
        chosen[_NORMALIZE] = list(normalization.numbers)
    if given is None:
        return chosen
    if given.other_classes is not None:
        chosen[_NEW_HEAD] = True
    # Before it could be trained on, a search kept a number of root epochs beside a checkpoint.
    if _TRAINED_ON in earlier if earlier is not None else _is_to_be_trained(config, given):
        chosen[_TRAINED_ON] = True
    return chosen


def _is_to_be_trained(config: SearchConfig, given: GivenWeights) -> bool:
    if config.root_epochs is None:
        return given.other_classes is not None
    return config.root_epochs > 0


def _normalization(config: SearchConfig, given: GivenWeights | None) -> Normalization | None:
    match config.normalize:
        case None:
            return None if given is None else given.normalization
        case "none":
            return None
        case "imagenet":
            return IMAGENET
        case numbers:
            return Normalization(mean=numbers[:3], std=numbers[3:])


def _kept_normalization(made_of: Mapping[str, Any]) -> Normalization | None:
    if _NORMALIZE not in made_of:
        return None
    numbers = made_of[_NORMALIZE]
    return Normalization(mean=tuple(numbers[:3]), std=tuple(numbers[3:]))
