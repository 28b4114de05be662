"""Programs held to the network they came from, and to what its search says of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data import ImageData, Split
from pruning import Stage, evaluate
from search.console import Console
from search.errors import MismatchError
from search.takehome.programs import INT8, Program

NETWORK = "model.safetensors"
"""Stands among the programs for the network itself."""

_TOLERANCE = 1e-4
"""Of logits, relative to the largest, which rounding in another order may change."""
_SAMPLES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What programs did.

    Attributes:
        accuracies: Of each program, by its file, and by the name of the split; empty without
            images.
        samples: A few of the images that they were given, uncropped, (height, width, 3).
        logits: What each program said of these, (n, classes), by its file.
    """

    accuracies: Mapping[str, Mapping[str, float]]
    samples: tuple[NDArray[np.uint8], ...]
    logits: Mapping[str, Tensor]


def prove(
    programs: Mapping[str, Program], stage: Stage | None, data: ImageData, console: Console
) -> Proof:
    """Run programs on all images that validate or test, on the crops that a search evaluates on.

    Those in 8 bits may differ from the network.

    Args:
        programs: By the names of their files; the network itself as NETWORK.
        stage: The network, if it is held to what its search says of it.
        data: The images.
        console: Where it is said what is being tried.

    Raises:
        MismatchError: A program does something else than the network, or the network than it did.
    """
    splits = {"validation": data.validation, "test": data.test}
    accuracies: dict[str, dict[str, float]] = {name: {} for name in programs}
    positions = _sampled(data.validation)
    logits: dict[str, Tensor] = {}
    for split_name, split in splits.items():
        if not split.labelled:
            continue
        network, accuracy = _run(programs[NETWORK], split, data.image_size)
        if stage is not None:
            _hold_to_search(stage, split_name, network, accuracy)
        for name, program in programs.items():
            if console.status_is_due():
                console.status(f"trying {name} on {len(split):,} images ({split_name})")
            said, accuracies[name][split_name] = _run(program, split, data.image_size)
            if name != INT8:
                hold_to_network(name, said, network)
            if split_name == "validation":
                logits[name] = said[positions]
    samples = tuple(_whole_image(data.validation, position) for position in positions)
    return Proof(accuracies=accuracies, samples=samples, logits=logits)


def prove_on_noise(programs: Mapping[str, Program], image_size: int) -> Proof:
    """Run programs on random images, where there are no others.

    Raises:
        MismatchError: A program does something else than the network.
    """
    shape = (_SAMPLES, image_size, image_size, 3)
    pixels_NHWC = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)  # noqa: N806
    images = torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2).float().div_(255)
    logits = {name: program(images) for name, program in programs.items()}
    for name, said in logits.items():
        if name != INT8:
            hold_to_network(name, said, logits[NETWORK])
    return Proof(accuracies={}, samples=tuple(pixels_NHWC), logits=logits)


def hold_to_network(name: str, said: Tensor, network: Tensor) -> None:
    """Whether a program's logits are its network's.

    Classes may differ where the network's two largest logits are as close as rounding.

    Raises:
        MismatchError: They are not.
    """
    limit = _limit(network)
    difference = (said - network).abs().max().item()
    differing = (said.argmax(1) != network.argmax(1)) & ~_close(network)
    if not difference <= limit or differing.any():
        raise MismatchError(
            f"{name} does not compute what the network does: logits differ by up to "
            f"{difference:.2g}, where rounding allows {limit:.2g}, and the class of "
            f"{int(differing.sum())} in {len(differing)} images."
        )


def _hold_to_search(stage: Stage, split: str, logits: Tensor, accuracy: float) -> None:
    """Whether a network has the accuracy that its search wrote down.

    Another processor may decide otherwise where two logits are as close as rounding.
    """
    before = stage.val_accuracy if split == "validation" else stage.test_accuracy
    if before is None:
        return
    hits, hits_before = (round(share * len(logits)) for share in (accuracy, before))
    if abs(hits - hits_before) > int(_close(logits).sum()):
        raise MismatchError(
            f"{stage.id} is right on {hits} of {len(logits)} {split} images, but was on "
            f"{hits_before} when it was made."
        )


def _run(program: Program, split: Split, image_size: int) -> tuple[Tensor, float]:
    """A program's logits (n, classes) of a split's images, and its accuracy."""
    recorder = _Recorder(program)
    metrics = evaluate(recorder, split, image_size)
    return torch.cat(recorder.said), metrics.accuracy


class _Recorder(nn.Module):
    """Passes images to a program, and keeps what it says."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program
        self.said: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        logits = self._program(images)
        self.said.append(logits)
        return logits


def _limit(logits: Tensor) -> float:
    return _TOLERANCE * max(1.0, logits.abs().max().item())


def _close(logits: Tensor) -> Tensor:
    """Of which images the two largest logits can change places by rounding."""
    two: Tensor = logits.topk(2).values
    return two[:, 0] - two[:, 1] <= 2 * _limit(logits)


def _sampled(split: Split) -> list[int]:
    """Positions of a few images, at even distances."""
    places = np.linspace(0, len(split) - 1, min(_SAMPLES, len(split)))
    return [int(place) for place in places]


def _whole_image(split: Split, position: int) -> NDArray[np.uint8]:
    height, width = int(split.heights[position]), int(split.widths[position])
    first = int(split.offsets[position])
    pixels: NDArray[np.uint8] = split.pixels[first : first + height * width].numpy()
    return pixels.reshape(height, width, 3)
