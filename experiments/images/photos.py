"""Photos to measure with: JPEGs of mixed sizes that look and compress like real ones."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SPLITS = {"training": 0.6, "validation": 0.2, "testing": 0.2}
_CLASSES = 11
_LARGEST = 512
_SHAPES = ((1, 1), (4, 3), (3, 2), (16, 9))
_TEXTURES = 12


def write_photos(folder: Path, count: int, *, seed: int) -> list[int]:
    """Write photos, their longer side up to 512 pixels, in food-11's layout.

    Args:
        folder: Of the three splits, which are made.
        count: Photos in all splits together.
        seed: Of all that is random.

    Returns:
        Their sizes in bytes.
    """
    names = []
    for split, share in _SPLITS.items():
        (folder / split).mkdir(parents=True)
        names += [f"{split}/{i % _CLASSES}_{i}.jpg" for i in range(round(count * share))]
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        write = partial(_write_photo, folder, seed)
        return list(pool.map(write, enumerate(names), chunksize=50))


def _write_photo(folder: Path, seed: int, numbered: tuple[int, str]) -> int:
    """Writes one photo out of textures, light and grain; returns its bytes."""
    at, name = numbered
    rng = np.random.default_rng((seed, at))
    longer = _LARGEST if rng.random() < 0.7 else int(rng.integers(_LARGEST // 2, _LARGEST))
    one, other = _SHAPES[rng.integers(len(_SHAPES))]
    sides = (longer, longer * other // one)
    height, width = sides if rng.random() < 0.5 else sides[::-1]
    texture = _textures(seed)[rng.integers(_TEXTURES)]
    top, left = rng.integers(0, 2 * _LARGEST - np.array([height, width]))
    pixels = texture[top : top + height, left : left + width] * rng.uniform(15, 45)
    pixels = pixels + rng.uniform(60, 190, 3)
    pixels += rng.uniform(-80, 80) * np.linspace(-0.5, 0.5, width)[:, None]
    pixels += 3 * rng.standard_normal((height, width, 1), dtype=np.float32)
    path = folder / name
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=85)
    return path.stat().st_size


@cache
def _textures(seed: int) -> list[NDArray[np.float32]]:
    """Noise whose amplitude falls with frequency, as that of photos does; made once a process."""
    rng = np.random.default_rng(seed)
    side = 2 * _LARGEST
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)) + 1 / side
    made = []
    for _ in range(_TEXTURES):
        white = np.fft.rfft2(rng.standard_normal((side, side, 3)), axes=(0, 1))
        coloured = np.fft.irfft2(white / frequency[..., None] ** 1.2, axes=(0, 1))
        coloured = 0.7 * coloured.mean(2, keepdims=True) + 0.3 * coloured
        made.append((coloured / coloured.std()).astype(np.float32))
    return made
