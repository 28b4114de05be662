import json
from dataclasses import replace
from typing import Any

import pytest

from pruning import Draft, NonFiniteError, Origin, Recipe, Round, Stage, StoreError
from pruning.stages import stage_seed

ORIGIN = Origin(
    recipe=Recipe(unaugmented=0.0, least_unaugmented=0),
    seed=0,
    data_fingerprint="f00d",
    root={"channels": [16, 32], "num_classes": 10},
    device_type="cpu",
)
ROUND = Round(rate=0.5, epochs=2, lr=1e-3)
STAGE = Stage(
    id="ab" * 8,
    parent="cd" * 8,
    schedule=(Round(rate=0.9, epochs=1, lr=1e-3), ROUND),
    channels=(4, 2),
    params=10,
    macs=20,
    size_bytes=40,
    val_loss=0.5,
    val_accuracy=0.75,
    seconds=1.5,
    trial=2,
    executed_epochs=3,
    sha256="0" * 64,
)


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"recipe": replace(ORIGIN.recipe, **change)}
            for change in (
                {"batch_size": 64},
                {"weight_decay": 0.1},
                {"importance": "signed-gamma"},
                {"decay": False},
                {"unaugmented": 0.5},
                {"least_unaugmented": 5},
                {"recalibrate": False},
                {"root_epochs": 41},
                {"root_lr": 1e-2},
            )
        ),
        {"seed": 1},
        {"data_fingerprint": "beef"},
        {"root": {"channels": [16, 33], "num_classes": 10}},
        {"device_type": "cuda"},
        {"precision": "bf16"},
    ],
)
def test_everything_that_shapes_the_weights_is_in_the_id(change: dict[str, Any]) -> None:
    other = replace(ORIGIN, **change)
    assert other.stage_id(None, None) != ORIGIN.stage_id(None, None)
    assert other.stage_id("p", ROUND) != ORIGIN.stage_id("p", ROUND)


@pytest.mark.parametrize(
    "change",
    [{"rate": 0.6}, {"epochs": 3}, {"lr": 2e-3}, {"replicate": 1}, {"allocation": "global"}],
)
def test_everything_in_the_round_is_in_the_id(change: dict[str, Any]) -> None:
    assert ORIGIN.stage_id("p", replace(ROUND, **change)) != ORIGIN.stage_id("p", ROUND)


def test_rounds_that_either_rule_trains_alike_are_the_same() -> None:
    """Searches of before shared out the epochs, however few; their longer rounds stay theirs."""
    before, today = (replace(ORIGIN, recipe=Recipe(least_unaugmented=least)) for least in (0, 5))
    for epochs in range(20):
        one = replace(ROUND, epochs=epochs)
        alike = before.stage_id("p", one) == today.stage_id("p", one)
        assert alike == (epochs in (0, *range(10, 20))), epochs
    assert before.stage_id(None, None) == today.stage_id(None, None)


def test_the_parent_is_in_the_id() -> None:
    assert len({ORIGIN.stage_id(parent, ROUND) for parent in ("p", "q", None)}) == 3


def test_ids_are_the_same_in_every_process_and_version() -> None:
    """If this fails, stages of earlier versions are no longer found.

    Raise `FORMAT` then, unless that is because `RECIPE_VERSION` was raised.
    """
    assert ORIGIN.stage_id(None, None) == "e3e700d6928895ed"
    assert ORIGIN.stage_id("e3e700d6928895ed", ROUND) == "1b854bfe3605d3f8"


def test_seeds_fit_a_generator() -> None:
    assert stage_seed("f" * 16) == 2**63 - 1
    assert stage_seed("0" * 16) == 0


def test_json_round_trip() -> None:
    assert Stage.from_json(json.loads(json.dumps(STAGE.to_json()))) == STAGE


@pytest.mark.parametrize(
    "change",
    [
        {"format": 0},
        {"format": None},
        {"schedule": [{"rate": 2.0, "epochs": 1, "lr": 0.1, "replicate": 0}]},
        {"schedule": [{"speed": 2.0}]},
        {"schedule": [{"rate": 0.5, "epochs": 1, "lr": 0.1, "allocation": "local"}]},
        {"channels": None},
        {"surplus": 1},
        {"params": "10"},
        {"params": 0},
        {"val_accuracy": 7.0},
        {"executed_epochs": "3"},
        {"seconds": float("nan")},
        {"channels": [4, "2"]},
        {"channels": "42"},
        {"parent": "../escape"},
        {"trial": None},
        {"val_loss": float("nan")},
    ],
)
def test_a_record_that_is_not_ours_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(StoreError):
        Stage.from_json(STAGE.to_json() | change)


def test_a_record_that_lacks_a_value_is_refused() -> None:
    record = STAGE.to_json()
    del record["params"]
    with pytest.raises(StoreError, match="params"):
        Stage.from_json(record)


@pytest.mark.parametrize("metric", ["val_loss", "val_accuracy"])
def test_a_non_finite_metric_is_no_stage(metric: str) -> None:
    draft = {name: getattr(STAGE, name) for name in Draft.__dataclass_fields__}
    with pytest.raises(NonFiniteError, match="nan"):
        Draft(**(draft | {metric: float("nan")}))
