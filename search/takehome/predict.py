#!/usr/bin/env python3
"""Classifies image files with the network that lies beside this script.

Needs numpy, Pillow, and onnxruntime (for model.onnx) or torch (for model.pt2), and nothing else.
An image is prepared exactly as those were that the network's accuracy was measured on: turned
upright by its EXIF orientation, transparent parts over black, RGB, resized or scaled down if
model.json says so, then its middle, black where it is too small, divided by 255.
"""

import argparse
import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
RUNTIMES = {".onnx": "onnxruntime", ".pt2": "torch"}
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "PPM")
BATCH = 16

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From images (N, 3, H, W), RGB in [0, 1], to logits (N, classes)."""


def main() -> int:
    """Prints file, class and probability, with tabs between; 1 if a file cannot be read."""
    parser = argparse.ArgumentParser(
        description="Classify image files; prints file, class and probability of each, with tabs.",
        epilog="Exit code 0: all were classified; 1: some cannot be read; 2: none can be.",
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="an image file")
    parser.add_argument(
        "--model",
        choices=sorted(path.name for path in HERE.glob("model*") if path.suffix in RUNTIMES),
        help="the file to run (default: model.onnx if onnxruntime is installed, else model.pt2)",
    )
    asked = parser.parse_args()
    about = json.loads((HERE / "model.json").read_text(encoding="utf-8"))
    try:
        path = HERE / (asked.model or usual_model())
        run = load_pt2(path) if path.suffix == ".pt2" else load_onnx(path)
    except ImportError as error:
        parser.error(str(error))
    failed = False
    for first in range(0, len(asked.images), BATCH):
        names: list[Path] = []
        images: list[NDArray[np.float32]] = []
        for file in asked.images[first : first + BATCH]:
            try:
                images.append(prepared(decoded(file), about["input"]))
                names.append(file)
            except Exception as error:  # Pillow's readers raise of all kinds on damaged files
                failed = True
                print(f"{file}: cannot be read: {error}", file=sys.stderr)
        if images:
            for name, row in zip(names, softmax(run(np.stack(images))), strict=True):
                best = int(row.argmax())
                print(f"{name}\t{about['classes'][best]}\t{row[best]:.4f}")
    return int(failed)


def usual_model() -> str:
    """The file whose runtime is installed."""
    present = [name for name in ("model.onnx", "model.pt2") if (HERE / name).is_file()]
    runtimes = {name: RUNTIMES[Path(name).suffix] for name in present}
    for name, runtime in runtimes.items():
        if find_spec(runtime) is not None:
            return name
    needed = " or ".join(f"{runtime} for {name}" for name, runtime in runtimes.items())
    raise ImportError(f"nothing runs the network: install {needed}")


def load_onnx(path: Path) -> Run:
    """ONNX Runtime's session."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        (logits,) = session.run(["logits"], {"images": images})
        found: NDArray[np.float32] = logits
        return found

    return run


def load_pt2(path: Path) -> Run:
    """torch.export's program."""
    import torch

    net: Any = torch.export.load(str(path)).module()

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            logits: NDArray[np.float32] = net(torch.from_numpy(images)).numpy()
        return logits

    return run


def decoded(path: Path) -> NDArray[np.uint8]:
    """The pixels of a file, (height, width, 3), RGB, upright."""
    limit = Image.MAX_IMAGE_PIXELS
    with Image.open(path, formats=FORMATS) as image:
        if limit is not None and image.width * image.height > limit:
            raise ValueError(f"more than {limit} pixels")
        # Pillow stretches grey of 2 and 4 bits and halves colours of 16, but not the transparent
        # value that a PNG file names.
        key = image.info.get("transparency")
        layout: Any = image.tile[0].args if image.format == "PNG" and image.tile else None
        if isinstance(key, int) and layout in {"L;2", "L;4"}:
            image.info["transparency"] = key * {"L;2": 85, "L;4": 17}[layout]
        elif isinstance(key, tuple) and layout == "RGB;16B":
            image.info["transparency"] = tuple(part >> 8 for part in key)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        wide = image.format == "PPM" and image.mode == "I"
        return as_rgb(image.convert("I;16") if wide else image)


def as_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Grey three times, of 16 bits the upper 8, and what is transparent over black."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int32)
        grey = ((values + 128) // 257).astype(np.uint8)
        if "transparency" in image.info:
            grey[values == image.info["transparency"]] = 0
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in {"I", "F"}:
        raise ValueError("grey of 32 bits, of which nobody knows what is white")
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def prepared(pixels: NDArray[np.uint8], wanted: dict[str, Any]) -> NDArray[np.float32]:
    """The network's input, (3, size, size) in [0, 1]."""
    size = wanted["size"]
    if wanted["resize"]:
        pixels = resized(pixels, size, size)
    (height, width), shorter = pixels.shape[:2], wanted["shorter_side"]
    if shorter is not None and min(height, width) > shorter:
        short = min(height, width)
        pixels = resized(pixels, shorter * width // short, shorter * height // short)
    crop = np.zeros((size, size, 3), dtype=np.uint8)
    (top, to_top, height), (left, to_left, width) = (
        middle(side, size) for side in pixels.shape[:2]
    )
    crop[to_top : to_top + height, to_left : to_left + width] = pixels[
        top : top + height, left : left + width
    ]
    return crop.transpose(2, 0, 1).astype(np.float32) / np.float32(255)


def resized(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """An image of this size."""
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


def middle(side: int, size: int) -> tuple[int, int, int]:
    """Where a crop starts in an image and the image in a crop, and what they have in common."""
    if side < size:
        return 0, (size - side) // 2, side
    return round((side - size) / 2), 0, size  # a half to the even one


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities (N, classes)."""
    powers: NDArray[np.float32] = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return shares


if __name__ == "__main__":
    sys.exit(main())
