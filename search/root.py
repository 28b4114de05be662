"""The network that a search prunes: what it is, and what it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from data import ImageData
from models import student_channels
from pruning import CheckpointError, StudentArchitecture, read_checkpoint
from search.configuration import SearchConfig
from search.errors import RefusedError
from search.results.folder import ResultsFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Root:
    """The network that a search prunes: `tensors` of a checkpoint, or else it is trained."""

    architecture: StudentArchitecture
    made_of: Mapping[str, Any]
    tensors: Mapping[str, Tensor] | None


def find_root(config: SearchConfig, folder: ResultsFolder, data: ImageData) -> Root:
    """The network to prune: the one of --checkpoint, or one to be trained.

    Raises:
        RefusedError: The checkpoint cannot be used, or does not fit the images.
    """
    classes = len(data.classes)
    if config.checkpoint is None:
        return _described(
            {"channels": student_channels(), "num_classes": classes, "prune": config.prune}
        )
    if config.resume is not None and not config.checkpoint.exists():
        return _described(folder.read()["root"])  # the store has what was made of it
    try:
        checkpoint = read_checkpoint(config.checkpoint)
    except CheckpointError as error:
        raise RefusedError(str(error)) from error
    if checkpoint.num_classes != classes:
        raise RefusedError(
            f"{config.checkpoint} tells {checkpoint.num_classes} classes apart, but "
            f"--data {config.data} has {classes}.\nGive a checkpoint trained on such data."
        )
    root = _described(
        {
            "channels": checkpoint.channels,
            "num_classes": classes,
            "checkpoint": checkpoint.sha256,
            "prune": config.prune,
        }
    )
    if root.architecture.channels_at(0) == root.architecture.channels:
        raise RefusedError(f"{config.checkpoint} has no channel left to prune; give a wider one.")
    return replace(root, tensors=checkpoint.tensors)


def _described(root: Mapping[str, Any]) -> Root:
    architecture = StudentArchitecture(
        channels=tuple(root["channels"]),
        num_classes=root["num_classes"],
        prune=root.get("prune", "notebook"),
    )
    made_of = {
        "channels": list(architecture.channels),
        "num_classes": architecture.num_classes,
        "checkpoint": root.get("checkpoint"),
    }
    if architecture.prune != "notebook":  # stages' ids are made of this; once there was no other
        made_of["prune"] = architecture.prune
    return Root(architecture=architecture, made_of=made_of, tensors=None)
