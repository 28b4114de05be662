"""The network that a search prunes: what it is, and what it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from data import ImageData
from models import NamedNetwork, NetworkError, student_channels
from pruning import (
    Architecture,
    CheckpointError,
    GraphArchitecture,
    StudentArchitecture,
    UnprunableError,
    read_checkpoint,
    read_weights,
)
from search.configuration import SearchConfig
from search.errors import RefusedError
from search.results.folder import ResultsFolder

STUDENT = "student"
"""The name of the notebook's network, which has groups in closed form."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Root:
    """The network that a search prunes: `tensors` of a checkpoint, or else it is trained."""

    architecture: Architecture
    made_of: Mapping[str, Any]
    tensors: Mapping[str, Tensor] | None = None


def find_root(config: SearchConfig, folder: ResultsFolder, data: ImageData) -> Root:
    """The network to prune: with the weights of --checkpoint, or to be trained.

    Raises:
        RefusedError: There is no such network, it cannot be pruned, or the checkpoint does not
            fit it or the images.
    """
    if config.resume is not None and config.checkpoint and not config.checkpoint.exists():
        made_of = folder.read()["root"]  # the store has what was made of the checkpoint
        return Root(architecture=architecture_of(config, made_of), made_of=made_of)
    if config.model == STUDENT:
        root = _student_root(config, len(data.classes))
    else:
        root = _named_root(config, len(data.classes), data.image_size)
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
        )
    if config.image_size is None:
        raise RefusedError("The configuration in search.json is damaged: it has no image size.")
    root = _named_root(replace(config, checkpoint=None), made_of["num_classes"], config.image_size)
    now, before = ({**of, "checkpoint": None} for of in (root.made_of, made_of))
    if now != before:
        raise RefusedError(
            f"--model {config.model} is another network than this search was started with.\n"
            f"{_way_back(now['network'], before['network'])}"
        )
    return root.architecture


def _way_back(now: Mapping[str, str], before: Mapping[str, str]) -> str:
    """How to have the network again that a search was started with."""
    if now != before and "sha256" in before:
        return f"Put its file back as it was: of SHA-256 {before['sha256']}, by search.json."
    return "Have its code, and the libraries that search.json names, as they were."


def _student_root(config: SearchConfig, classes: int) -> Root:
    channels, checkpoint = student_channels(), None
    if config.checkpoint is not None:
        try:
            checkpoint = read_checkpoint(config.checkpoint)
        except CheckpointError as error:
            raise RefusedError(str(error)) from error
        if checkpoint.num_classes != classes:
            raise RefusedError(
                f"{config.checkpoint} tells {checkpoint.num_classes} classes apart, but "
                f"--data {config.data} has {classes}.\nGive a checkpoint trained on such data."
            )
        channels = checkpoint.channels
    made_of: dict[str, Any] = {
        "channels": list(channels),
        "num_classes": classes,
        "checkpoint": None if checkpoint is None else checkpoint.sha256,
    }
    # Stages' ids are made of this; once there was no choice.
    if config.prune != "notebook":
        made_of["prune"] = config.prune
    if config.round_to != 1:
        made_of["round_to"] = config.round_to
    return Root(
        architecture=architecture_of(config, made_of),
        made_of=made_of,
        tensors=None if checkpoint is None else checkpoint.tensors,
    )


def _named_root(config: SearchConfig, classes: int, image_size: int) -> Root:
    try:
        network = NamedNetwork.found(config.model, classes)
        architecture = GraphArchitecture.of(
            network, image_size=image_size, round_to=config.round_to
        )
        weights = None
        if config.checkpoint is not None:
            skeleton = architecture.build(architecture.channels).state_dict()
            weights = read_weights(
                config.checkpoint, skeleton, lambda _: skeleton, kind=config.model
            )
    except UnprunableError as error:
        raise RefusedError(
            f"--model {config.model}: {error}\n"
            "Give another network, or the --image-size that it is made for."
        ) from error
    except (NetworkError, CheckpointError) as error:
        raise RefusedError(f"--model {config.model}: {error}") from error
    if architecture.num_classes != classes:
        raise RefusedError(
            f"--model {config.model} puts out {architecture.num_classes} numbers, but --data "
            f"{config.data} has {classes} classes.\nIts factory must use num_classes."
        )
    return Root(
        architecture=architecture,
        made_of={
            "network": network.made_of,
            "channels": list(architecture.channels),
            "num_classes": classes,
            "round_to": config.round_to,
            "checkpoint": None if weights is None else weights.sha256,
        },
        tensors=None if weights is None else weights.tensors,
    )
