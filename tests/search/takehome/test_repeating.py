from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pruning import RoundRunner, StageStore
from search.errors import RefusedError
from search.kept import from_record
from search.results.folder import ResultsFolder
from search.takehome.repeating import Repeat, in_words, repeat, repeater
from tests.search.takehome.conftest import images_of

Trainer = Callable[..., RoundRunner]


def nothing(*_: object) -> None:
    """Nobody looks on."""


@pytest.fixture
def store(digits: Path) -> StageStore:
    return StageStore(digits / "stages")


@pytest.fixture
def trainer(digits: Path, store: StageStore) -> Trainer:
    def made(**changed: dict[str, Any]) -> RoundRunner:
        description = ResultsFolder(digits).read()
        config = from_record(description["config"])
        for part, values in changed.items():
            description[part] = {**description[part], **values}
        return repeater(config, description, store, images_of(config))

    return made


def test_the_search_s_own_seed_gives_the_same_network(trainer: Trainer, store: StageStore) -> None:
    (stage,) = [stage for stage in store if len(stage.schedule) == 1]
    again = repeat(trainer(), stage, 0, nothing)
    assert again == Repeat(seed=0, validation=stage.val_accuracy, test=stage.test_accuracy)
    other = repeat(trainer(), stage, 1, nothing)
    assert other.validation != stage.val_accuracy


def test_a_root_from_a_checkpoint_stays(trainer: Trainer, store: StageStore) -> None:
    root = store.child(None, None)
    assert root is not None
    (before, after) = (
        repeat(trainer(root={"checkpoint": checkpoint}), root, 4, nothing).validation
        for checkpoint in (None, "digest")
    )
    assert after == root.val_accuracy != before


def test_what_was_trained_otherwise_is_not_repeated(trainer: Trainer) -> None:
    with pytest.raises(RefusedError, match="the search was made by another"):
        trainer(recipe={"version": 0})


def test_mean_and_spread() -> None:
    one, two = Repeat(seed=1, validation=0.8, test=None), Repeat(seed=2, validation=0.9, test=0.5)
    assert in_words([one]) == "validation accuracy 0.8000"
    assert in_words([two, two]).endswith("test accuracy 0.5000 ± 0.0000")
    assert in_words([one, two]) == "validation accuracy 0.8500 ± 0.0707, test accuracy 0.5000"
