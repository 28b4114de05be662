"""Little searches with real networks, made without Ray."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data import ImageData
from pruning import Round, RoundRunner, StageStore
from search.configuration import SearchConfig
from search.console import Console
from search.front.cost import Pricing
from search.images import open_images
from search.kept import to_record
from search.opening import scale_of
from search.results.description import describe
from search.results.folder import ResultsFolder
from search.results.tables import candidates_csv
from search.root import find_root, origin_of

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.right = nn.Sequential(nn.Conv2d(3, 4, 1, 2), nn.BatchNorm2d(4))
        self.head = nn.Linear(12, num_classes)

    def forward(self, x):
        return self.head(torch.cat([self.left(x), self.right(x)], 1).mean((2, 3)))
"""
CLASSES = ("a dog", "bird", "Zebra")


def _search(path: Path, config: SearchConfig, *rates: float) -> Path:
    """A search of one schedule, whose last network was not tested, as none off the front is."""
    folder = ResultsFolder(path)
    data = open_images(config, Console())
    config = config.resolved(image_size=data.image_size, precision="fp32")
    root = find_root(config, folder, data)
    origin = origin_of(
        config,
        root.made_of,
        data_fingerprint=data.fingerprint,
        device_type="cpu",
        precision="fp32",
    )
    with folder.locked(resume=False):
        pricing = Pricing(
            name="params", architecture=root.architecture, image_size=data.image_size
        )
        scale = scale_of(pricing, len(data.classes))
        hardware = {"device_type": "cpu"}
        folder.write(describe(to_record(config), data, origin, scale, hardware, None, None))
    store = StageStore(folder.stages)
    runner = RoundRunner(
        architecture=root.architecture, data=data, origin=origin, device=torch.device("cpu")
    )
    stage = store.commit(*runner.root(), trial=0)
    for rate in rates:
        if data.test.labelled:
            accuracy = runner.test_accuracy(stage, store.weights(stage.id))
            store.set_test_accuracy(stage.id, accuracy)
        made = runner.child(stage, store.weights(stage.id), Round(rate=rate, epochs=2, lr=5e-3))
        stage = store.commit(*made, trial=0)
    folder.put("candidates.csv", candidates_csv(store))
    return path


@pytest.fixture(scope="session")
def _digits(tmp_path_factory: pytest.TempPathFactory, packs: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(packs))
        config = SearchConfig(image_size=16, root_epochs=4)
        return _search(tmp_path_factory.mktemp("searched") / "digits", config, 0.3, 0.5)


@pytest.fixture(scope="session")
def _photos(tmp_path_factory: pytest.TempPathFactory, packs: Path) -> Path:
    """Of a user's network and JPEG files of several sizes, some small and some scaled down."""
    home = tmp_path_factory.mktemp("photographed")
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 6), ("test", 6)):
        for label, name in enumerate(CLASSES):
            (home / "images" / split / name).mkdir(parents=True)
            for at in range(count):
                shape = (12 + 5 * (at % 4), 24 - 3 * (at % 3), 3)
                pixels = rng.integers(0, 60, shape, dtype=np.uint8)
                pixels[..., label] += 120
                Image.fromarray(pixels).save(home / "images" / split / name / f"{at}.jpg")
    (home / "nets.py").write_text(NET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(packs))
        config = SearchConfig(
            data=str(home / "images"),
            image_size=19,
            resize=20,
            model=f"{home / 'nets.py'}:Net",
            root_epochs=8,
        )
        return _search(home / "search", config, 0.5)


@pytest.fixture
def digits(_digits: Path, tmp_path: Path, packs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A search on the digits: a root and two networks below it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(packs))
    return Path(shutil.copytree(_digits, tmp_path / "digits"))


@pytest.fixture
def photos(_photos: Path, tmp_path: Path, packs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A search on a folder of JPEG files: a root and a network below it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(packs))
    return Path(shutil.copytree(_photos, tmp_path / "photos"))


def images_of(config: SearchConfig) -> ImageData:
    return open_images(config, Console())
