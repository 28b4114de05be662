from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data import DataSource, ImageData, open_data
from models import student_channels
from pruning import Origin, Recipe, RoundRunner, StudentArchitecture
from tests.pruning.saved import State, trained


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    """The real digits at the smallest size the network takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return open_data(DataSource(data="digits", image_size=16))


@pytest.fixture(scope="session")
def architecture() -> StudentArchitecture:
    return StudentArchitecture(channels=student_channels(8), num_classes=10)


@pytest.fixture
def runner(digits: ImageData, architecture: StudentArchitecture) -> RoundRunner:
    origin = Origin(
        recipe=Recipe(root_epochs=1),
        seed=0,
        data_fingerprint=digits.fingerprint,
        root={"channels": architecture.channels, "num_classes": 10},
        device_type="cpu",
    )
    return RoundRunner(
        architecture=architecture, data=digits, origin=origin, device=torch.device("cpu")
    )


@pytest.fixture
def few_digits(digits: ImageData) -> ImageData:
    """65 training images: with batches of 32 a single one is left over."""
    train = digits.train
    fields = ("offsets", "heights", "widths", "labels")
    return replace(
        digits, train=replace(train, **{name: getattr(train, name)[:65] for name in fields})
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "stages"


@pytest.fixture
def state() -> State:
    return dict(trained().state_dict())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "student_custom_small.bin"
