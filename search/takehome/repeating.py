"""A network's whole schedule trained again with other seeds, to tell its accuracy from luck."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

import safetensors.torch
import torch

from data import ImageData
from pruning import Metrics, RoundRunner, Stage, StageStore
from search.configuration import SearchConfig
from search.errors import RefusedError
from search.root import architecture_of, origin_of
from search.workers.devices import exact_fp32


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """What another seed gave.

    Attributes:
        seed: In place of the search's.
        validation: Accuracy on validation images.
        test: On test images, if these have labels.
    """

    seed: int
    validation: float
    test: float | None


def repeater(
    config: SearchConfig,
    description: Mapping[str, Any],
    store: StageStore,
    data: ImageData,
) -> RoundRunner:
    """What trains networks as a search did, on a GPU if it did and there is one.

    A root that came from a checkpoint is not trained again.

    Args:
        config: Of the search.
        description: The content of its search.json.
        store: Its networks.
        data: Its images.

    Raises:
        RefusedError: It was made by a version of the program that trained otherwise.
    """
    made_of = description["root"]
    device_type = description["hardware"]["device_type"]
    if device_type == "cuda" and not torch.cuda.is_available():
        device_type = "cpu"
    origin = origin_of(
        config,
        made_of,
        data_fingerprint=data.fingerprint,
        device_type=device_type,
        precision=config.precision or "fp32",
        kept=description["recipe"],
    )
    if origin.recipe.to_json() != description["recipe"]:
        raise RefusedError(
            "--repeat trains as this version of the program does, and the search was made by "
            "another; leave it out."
        )
    given = None if made_of["checkpoint"] is None else store.child(None, None)
    exact_fp32()
    return RoundRunner(
        architecture=architecture_of(config, made_of),
        data=data.to(device_type),
        origin=origin,
        device=torch.device(device_type),
        checkpoint=None if given is None else safetensors.torch.load(store.weights(given.id)),
    )


def repeat(
    runner: RoundRunner, stage: Stage, seed: int, on_epoch: Callable[[int, Metrics], None]
) -> Repeat:
    """Train a network's schedule again, from its root on.

    Args:
        runner: See `repeater`.
        stage: The network.
        seed: In place of the search's.
        on_epoch: Called after each epoch.

    Raises:
        NonFiniteError: Training diverged.
    """
    runner = replace(runner, origin=replace(runner.origin, seed=seed))
    draft, weights = runner.root(on_epoch)
    for round_ in stage.schedule:
        draft, weights = runner.child(draft, weights, round_, on_epoch)
    labelled = runner.data.test.labelled
    return Repeat(
        seed=seed,
        validation=draft.val_accuracy,
        test=runner.test_accuracy(draft, weights) if labelled else None,
    )


def in_words(repeats: Sequence[Repeat]) -> str:
    """Mean accuracies, and sample standard deviations of several."""
    by_split = {
        "validation": [one.validation for one in repeats],
        "test": [one.test for one in repeats if one.test is not None],
    }
    return ", ".join(
        f"{split} accuracy {fmean(accuracies):.4f}"
        + (f" ± {stdev(accuracies):.4f}" if len(accuracies) > 1 else "")
        for split, accuracies in by_split.items()
        if accuracies
    )
