"""What a network's folder says of it, for programs and for people."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from data import DataSource
from pruning import Stage
from search.configuration import SearchConfig
from search.takehome.programs import INPUT, OUTPUT
from search.takehome.repeating import Repeat

FORMAT = 1
"""Version of `model.json`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What is known of a network that is taken home.

    Attributes:
        stage: The network, as its search made it.
        config: Of its search.
        description: Of its search: the content of search.json.
        measured: Of each file with the network the accuracies that were measured with it here,
            by split; empty where the images were not at hand.
        sizes: Of each such file its bytes.
        libraries: That made the files.
        repeats: What its schedule gave with other seeds.
    """

    stage: Stage
    config: SearchConfig
    description: Mapping[str, Any]
    measured: Mapping[str, Mapping[str, float]]
    sizes: Mapping[str, int]
    libraries: tuple[str, ...]
    repeats: tuple[Repeat, ...] = ()

    @property
    def classes(self) -> list[str]:
        """Their names, in the order of the logits."""
        return list(self.description["data"]["classes"])

    @property
    def _source(self) -> DataSource:
        return DataSource(data=self.config.data)

    @property
    def _placed(self) -> str:
        """How images come to their size."""
        if self._source.resized:
            return "resized to"
        side = self.config.resize
        scaled = "" if side is None else f"scaled down to a shorter side of {side} pixels, "
        return f"{scaled}of which it sees the middle"

    def files(self) -> dict[str, bytes]:
        """What is written of it, by the names of the files."""
        return {"model.json": self._to_json(), "README.md": self._to_readme()}

    def _to_json(self) -> bytes:
        stage, config, search = self.stage, self.config, self.description
        size = config.image_size
        content = {
            "format": FORMAT,
            "classes": self.classes,
            "input": {
                "name": INPUT,
                "shape": ["batch", 3, size, size],
                "dtype": "float32",
                "colours": "RGB",
                "divided_by": 255,
                "size": size,
                "resize": "bilinear" if self._source.resized else None,
                "shorter_side": config.resize,
                "crop": "center, black around images that are too small",
            },
            "output": {"name": OUTPUT, "shape": ["batch", len(self.classes)]},
            "accuracy": {"validation": stage.val_accuracy, "test": stage.test_accuracy},
            "measured": self.measured,
            "repeats": [asdict(repeat) for repeat in self.repeats],
            "file_bytes": self.sizes,
            "params": stage.params,
            "macs": stage.macs,
            "size_bytes": stage.size_bytes,
            "latency_ms": stage.latency_ms,
            "latency_on": stage.latency_on,
            "stage": stage.id,
            "model": config.model.rpartition("/")[2],
            "channels": stage.channels,
            "schedule": [round_.to_json() for round_ in stage.schedule],
            "search": {
                "data": self._source.name,
                "data_fingerprint": search["data"]["fingerprint"],
                "seed": config.seed,
                "precision": config.precision,
                "recipe": search["recipe"],
                "root": search["root"],
                "versions": search["versions"],
                "commit": search["commit"],
            },
            "versions": {"python": platform.python_version()}
            | {library: version(library) for library in self.libraries},
        }
        return (json.dumps(content, indent=1) + "\n").encode()

    def _to_readme(self) -> bytes:
        stage, size = self.stage, self.config.image_size
        files = [f"- `{name}`: {what}" for name, what in _WHAT.items() if name in self.sizes]
        text = _README.format(
            classes=len(self.classes),
            params=f"{stage.params:,}",
            validation=_percent(stage.val_accuracy),
            test=_percent(stage.test_accuracy),
            size=size,
            placed=self._placed,
            files="\n".join(files),
        )
        return text.encode()


_README = """\
# A network for {classes} classes, of {params} parameters

Accuracy: {validation} on the images that validated it, {test} on test images.

    pip install numpy pillow onnxruntime    # or torch, for model.pt2
    python predict.py photo.jpg             # prints file, class and probability

It takes RGB images, {placed} {size} x {size} pixels, divided by 255, as (N, 3, {size}, {size}),
and gives a logit for each class; `model.json` has their names, in order, and how it was made.

{files}
"""
_WHAT = {
    "model.onnx": "for ONNX Runtime, and whatever else reads ONNX",
    "model.int8.onnx": "the same in 8 bits",
    "model.pt2": "`torch.export.load(FILE).module()`, with torch alone",
    "model.safetensors": "the weights, as the search keeps them",
}


def accuracy_table(card: Card) -> list[str]:
    """Of the network and of each file its accuracies and bytes, a line each, under a heading."""
    stage = card.stage
    of_search: dict[str, float | None] = {
        "validation": stage.val_accuracy,
        "test": stage.test_accuracy,
    }
    rows: list[tuple[str, Mapping[str, float | None], int]]
    rows = [("in the search", of_search, stage.size_bytes)]
    rows += [(name, card.measured.get(name, {}), size) for name, size in card.sizes.items()]
    lines = [f"{'':18}{'validation':>10}{'test':>10}{'bytes':>14}"]
    for name, accuracies, size in rows:
        shown = [_decimal(accuracies.get(split)) for split in ("validation", "test")]
        lines.append(f"{name:18}{shown[0]:>10}{shown[1]:>10}{size:>14,}")
    return lines


def _decimal(accuracy: float | None) -> str:
    return "" if accuracy is None else f"{accuracy:.4f}"


def _percent(accuracy: float | None) -> str:
    return "unknown" if accuracy is None else f"{accuracy:.1%}"
