import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tyro

from search.configuration import DEFAULT_EPOCHS, MANY_TRIALS, SearchConfig
from search.errors import RefusedError
from search.kept import command_line, from_record, going_on, to_record


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"image_size": 15}, "--image-size"),
        ({"batch_size": 1}, "--batch-size"),
        ({"root_epochs": -1}, "--root-epochs"),
        ({"gpus": -1}, "--gpus"),
        ({"trials_per_gpu": 0}, "--trials-per-gpu"),
        ({"workers": 0}, "--workers"),
        ({"trials": 0}, "--trials"),
        ({"max_rounds": 0}, "--max-rounds"),
        ({"max_epochs": 0}, "--max-epochs"),
        ({"max_epochs": 3, "epochs": (8, 4)}, "--max-epochs must be at least 4, the shortest"),
        ({"max_epochs": 4}, "--max-epochs must be at least 5, the shortest"),
        ({"max_hours": 0.0}, "--max-hours"),
        ({"max_hours": float("nan")}, "--max-hours"),
        ({"seed": -1}, "--seed"),
        ({"rates": ()}, "--rates"),
        ({"rates": (0.5, 0.5)}, "--rates"),
        ({"rates": (0.0, 0.5)}, "--rates"),
        ({"rates": (1.1,)}, "--rates"),
        ({"rates": (float("nan"),)}, "--rates"),
        ({"epochs": (-1,)}, "--epochs"),
        ({"allocations": ()}, "--allocations"),
        ({"allocations": ("global", "global")}, "--allocations"),
        ({"starts": ("fresh",)}, "--starts"),
        ({"lrs": (0.0,)}, "--lrs"),
        ({"lrs": (float("inf"),)}, "--lrs"),
        ({"unaugmented": 1.1}, "--unaugmented"),
        ({"rates": (0.5, 1.0), "epochs": (0, 1)}, "--epochs"),
    ],
)
def test_numbers_outside_their_range_are_refused(change: dict[str, Any], flag: str) -> None:
    with pytest.raises(RefusedError, match=flag) as caught:
        SearchConfig(**change)
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    "config",
    [
        SearchConfig(),
        SearchConfig(
            data="/a b/$c",
            skip_broken=True,
            early_stop=False,
            rates=(0.5, 0.25),
            starts=("inherit", "fresh"),
            max_hours=0.5,
            checkpoint=Path("/it's.bin"),
        ),
    ],
)
def test_the_command_line_of_a_configuration_gives_it_again(config: SearchConfig) -> None:
    python, script, *arguments = shlex.split(command_line(config))
    assert (python, script) == ("python", "search/run.py")
    assert tyro.cli(SearchConfig, args=arguments) == config


def test_json_round_trip() -> None:
    config = SearchConfig(data_root=Path("/somewhere"), rates=(0.5,), trials=3)
    assert from_record(json.loads(json.dumps(to_record(config)))) == config


@pytest.mark.parametrize(
    "change",
    [
        {"trials": "5"},
        {"root_epochs": "1"},
        {"normalize": [0.5, 0.5, 0.5]},
        {"rates": "0.5"},
        {"rates": [0.5, "x"]},
        {"sampler": "grid"},
        {"data": 3},
        {"early_stop": "yes"},
        {"allocations": ["local"]},
        {"surplus": 1},
    ],
)
def test_a_damaged_record_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="damaged"):
        from_record(to_record(SearchConfig()) | change)


@pytest.mark.parametrize("flag", ["allocations", "starts", "stop_when_flat", "skip_broken"])
def test_searches_from_before_a_flag_have_its_default(flag: str) -> None:
    record = to_record(SearchConfig(trials=3))
    del record[flag]
    assert from_record(record) == SearchConfig(trials=3)


def test_searches_from_before_prune_was_a_choice_prune_what_the_notebook_does() -> None:
    record = to_record(SearchConfig())
    del record["prune"]
    assert from_record(record) == SearchConfig(prune="notebook")


def test_searches_from_before_images_could_be_left_as_they_are_augment_all() -> None:
    record = to_record(SearchConfig())
    del record["unaugmented"]
    assert from_record(record) == SearchConfig(unaugmented=0.0)


@pytest.mark.parametrize("record", [None, [], "config", {}])
def test_what_is_no_record_is_refused(record: object) -> None:
    with pytest.raises(RefusedError, match="damaged"):
        from_record(record)


def test_a_resolved_configuration_does_not_depend_on_the_present_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = SearchConfig(data="food-11", data_root=Path("sets"), out=Path("out"))
    kept = config.resolved(image_size=64)
    assert kept.data == str(tmp_path / "food-11")
    assert kept.data_root == tmp_path / "sets"
    assert kept.image_size == 64
    assert kept.out is None
    assert SearchConfig().resolved(image_size=32).data == "digits"


@pytest.mark.parametrize(("asked", "kept"), [(None, "bf16"), ("fp32", "fp32"), ("bf16", "bf16")])
def test_the_precision_that_was_chosen_is_kept(asked: Any, kept: str) -> None:
    config = SearchConfig(precision=asked)
    assert config.resolved(image_size=32, precision="bf16").precision == kept


def test_a_tilde_is_the_user_s_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = SearchConfig(checkpoint=Path("~/net.bin"), out=Path("~/out")).at_home()
    assert (config.checkpoint, config.out) == (tmp_path / "net.bin", tmp_path / "out")
    assert config.data_root is None


def test_the_default_folder_is_named_for_the_data() -> None:
    assert SearchConfig().folder == Path("results/digits")
    assert SearchConfig(data="/images/food-11/").folder == Path("results/food-11")
    assert SearchConfig(data="..").folder.name == Path("..").resolve().name
    assert SearchConfig(out=Path("here")).folder == Path("here")
    assert SearchConfig(resume=Path("there")).folder == Path("there")


@pytest.mark.parametrize(
    "change",
    [
        {"trials": 7},
        {"max_epochs": 70},
        {"stop_when_flat": True},
        {"max_hours": 0.5},
        {"gpus": 0},
        {"workers": 3},
        {"trials_per_gpu": 2},
        {"address": "auto"},
        {"data_root": Path("/elsewhere")},
        {"data": "/elsewhere/food-11"},
    ],
)
def test_what_may_change_on_resume(change: dict[str, Any]) -> None:
    kept = SearchConfig()
    going_on(replace(kept, resume=Path("here"), **change), kept)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rates": (0.5,)}, r"with --rates 0.1 .* 0.8, not with --rates 0.5\."),
        ({"epochs": (1,)}, "--epochs"),
        ({"lrs": (1.0,)}, "--lrs"),
        ({"max_rounds": 3}, "--max-rounds"),
        (
            {"allocations": ("uniform", "global")},
            "with --allocations uniform, not with --allocations uniform global",
        ),
        ({"skip_broken": True}, "with --no-skip-broken, not with --skip-broken"),
        ({"early_stop": False}, "with --early-stop, not with --no-early-stop"),
        ({"checkpoint": Path("other.bin")}, "without --checkpoint, not with"),
        ({"sampler": "tpe"}, "with --sampler stage-tree, not with --sampler tpe"),
        ({"prune": "notebook"}, "with --prune even, not with --prune notebook"),
        ({"precision": "fp32"}, "without --precision, not with --precision fp32"),
        ({"seed": 1}, "--seed"),
        ({"image_size": 64}, "--image-size"),
        ({"batch_size": 64}, "--batch-size"),
        ({"root_epochs": 1}, "--root-epochs"),
        ({"out": Path("elsewhere")}, "--out"),
    ],
)
def test_what_may_not_change_on_resume(change: dict[str, Any], message: str) -> None:
    kept = SearchConfig()
    with pytest.raises(RefusedError, match=message):
        going_on(replace(kept, resume=Path("here"), **change), kept)


@pytest.mark.parametrize(
    ("kept", "given", "workers"),
    [
        ({"workers": 3}, {}, 3),
        ({"workers": 3}, {"gpus": 0}, 3),
        ({"workers": 3}, {"gpus": 4}, None),
        ({"workers": 3, "gpus": 0}, {"gpus": 4}, None),
        ({"workers": 3, "gpus": 0}, {"workers": 2}, 2),
        ({"workers": 3, "gpus": 0}, {"gpus": 4, "workers": 2}, 2),
    ],
)
def test_workers_of_the_cpu_are_not_kept_for_gpus(
    kept: dict[str, Any], given: dict[str, Any], workers: int | None
) -> None:
    before = SearchConfig(**kept)
    assert going_on(replace(before, **given), before).workers == workers


@pytest.mark.parametrize(
    ("given", "trials_per_gpu"),
    [({}, 2), ({"gpus": 4}, 2), ({"gpus": 0}, 1), ({"gpus": 0, "trials_per_gpu": 3}, 3)],
)
def test_shares_of_gpus_are_not_kept_for_the_cpu(
    given: dict[str, Any], trials_per_gpu: int
) -> None:
    before = SearchConfig(gpus=2, trials_per_gpu=2)
    assert going_on(replace(before, **given), before).trials_per_gpu == trials_per_gpu


@pytest.mark.parametrize(
    ("trials", "max_epochs", "expected"),
    [
        (None, None, (MANY_TRIALS, DEFAULT_EPOCHS)),
        (5, None, (5, None)),
        (None, 70, (MANY_TRIALS, 70)),
        (5, 70, (5, 70)),
    ],
)
def test_a_search_has_a_budget(
    trials: int | None, max_epochs: int | None, expected: tuple[int, int | None]
) -> None:
    config = SearchConfig(trials=trials, max_epochs=max_epochs)
    assert (config.trial_budget, config.epoch_budget) == expected
