"""The weights that torchvision and timm publish of their networks."""

import importlib
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.errors import NetworkError, in_a_line
from models.named import NamedNetwork
from models.normalization import Normalization

DEFAULT = "default"
"""Name of the weights that a library itself takes for the best."""


class MissingWeightsError(NetworkError):
    """Published weights cannot be had now, and can at another time."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Published:
    """Published weights of a network.

    Attributes:
        name: Theirs, in the library.
        tensors: The state dict of the network that they were published for.
        normalization: Of the images that it was trained on.
    """

    name: str
    tensors: Mapping[str, Tensor]
    normalization: Normalization


def published(network: NamedNetwork, name: str) -> Published:
    """Published weights of a network of torchvision's or timm's, from its cache or downloaded.

    The caller's random numbers are left as they are.

    Args:
        network: Whose.
        name: Theirs, or `default`.

    Raises:
        NetworkError: The library has no such network or weights.
        MissingWeightsError: They cannot be downloaded, or read.
    """
    library, _, own = network.name.partition(":")
    fetch = {"torchvision": _of_torchvision, "timm": _of_timm}[library]
    with torch.random.fork_rng(devices=[]):
        return fetch(own, name)


def _of_torchvision(network: str, name: str) -> Published:
    from torchvision import models

    known = models.get_model_weights(network)
    chosen = known.__members__.get("DEFAULT" if name == DEFAULT else name)
    if chosen is None:
        raise NetworkError(_has_others("torchvision", network, name, [one.name for one in known]))
    try:
        # Refuses a file with code in it, which `get_model` does not.
        chosen.get_state_dict(progress=sys.stderr.isatty(), check_hash=True, weights_only=True)
        net = models.get_model(network, weights=chosen)
    except Exception as error:  # of network, disk or a damaged file: there are many
        raise MissingWeightsError(
            f"{_cannot_be_had(network, chosen.name, error)}\n"
            f"Download {chosen.url} elsewhere and lay it into {torch.hub.get_dir()}/checkpoints, "
            "or give it by --checkpoint, with --normalize."
        ) from error
    transforms = chosen.transforms()
    normalization = Normalization(mean=tuple(transforms.mean), std=tuple(transforms.std))
    if getattr(net, "transform_input", False):  # undoes it and takes another
        normalization = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return Published(name=chosen.name, tensors=net.state_dict(), normalization=normalization)


def _of_timm(network: str, name: str) -> Published:
    timm: Any = importlib.import_module("timm")
    known = [one.partition(".")[2] for one in timm.list_pretrained(f"{network}.*")]
    tag = timm.get_pretrained_cfg(network).tag if name == DEFAULT else name
    if tag not in known:
        raise NetworkError(_has_others("timm", network, name, known))
    talkative = logging.getLogger("huggingface_hub")
    level = talkative.level
    talkative.setLevel(logging.ERROR)  # says of each of its tries that it failed
    try:
        net = timm.create_model(f"{network}.{tag}", pretrained=True)
    except Exception as error:  # of network, disk or a damaged file: there are many
        raise MissingWeightsError(
            f"{_cannot_be_had(network, tag, error)}\n"
            "Download them elsewhere and give the file by --checkpoint, with --normalize."
        ) from error
    finally:
        talkative.setLevel(level)
    cfg = net.pretrained_cfg
    return Published(
        name=tag,
        tensors=net.state_dict(),
        normalization=Normalization(mean=tuple(cfg["mean"]), std=tuple(cfg["std"])),
    )


def _has_others(library: str, network: str, name: str, known: list[str]) -> str:
    others = f"; it has {', '.join(known)}" if known else ""
    return f"{library} publishes no weights {name} of {network}{others}."


def _cannot_be_had(network: str, name: str, error: Exception) -> str:
    return f"the weights {name} of {network} cannot be had: {in_a_line(error)}"
