"""The tutorial's commands, as a reader would type them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search import read_front

HOUSE = Path(__file__).parents[2]
CLASSES = ("cat", "dog")
COUNTS = {"training": 24, "validation": 8, "testing": 4}


def write_photos(folder: Path) -> None:
    """Small photos of noise, whose class is its colour."""
    generator = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for colour, name in enumerate(CLASSES):
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 128, (80, 72, 3), dtype=np.uint8)
                pixels[:, :, colour] += 100
                Image.fromarray(pixels).save(place / f"{number}.jpg")


@pytest.mark.slow
def test_its_commands_end_in_a_file_that_classifies_photos(tmp_path: Path, packs: Path) -> None:
    write_photos(tmp_path / "photos")
    (tmp_path / "search").symlink_to(HOUSE / "search")
    page = (HOUSE / "docs" / "tutorial.md").read_text(encoding="utf-8")
    commands = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": path, "XDG_CACHE_HOME": str(packs), "CUDA_VISIBLE_DEVICES": ""}
    outputs = []
    for command in commands:
        done = subprocess.run(
            ["bash", "-eu", "-c", command],
            check=False,
            cwd=tmp_path,
            env={**os.environ, **own},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        outputs.append(done.stdout)
    results = tmp_path / "results" / "photos"
    assert (results / "report.html").exists()
    assert set(read_front(results)["repeats"]) == {1}
    named = re.findall(r"`(model[\w.]*|predict\.py)`", page)
    assert {"model.onnx", "model.int8.onnx", "model.json"} <= set(named)
    assert all((tmp_path / "phone" / name).exists() for name in named)
    card = json.loads((tmp_path / "phone" / "model.json").read_text())
    assert card["params"] <= 100_000
    assert card["input"]["name"] == "images"
    assert card["output"]["name"] == "logits"
    rows = [line.split("\t") for line in outputs[-1].splitlines()]
    assert len(rows) == COUNTS["testing"] * len(CLASSES)
    assert {row[1] for row in rows} <= set(CLASSES)
