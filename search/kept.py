"""The configuration of a search as search.json keeps it, and what may change on --resume."""

import shlex
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from search.configuration import SearchConfig
from search.errors import RefusedError
from search.paths import absolute

_CHANGEABLE = frozenset(
    (
        "data",
        "data_root",
        "gpus",
        "workers",
        "trials_per_gpu",
        "trials",
        "max_epochs",
        "max_hours",
        "stop_when_flat",
        "confirm",
        "address",
    )
)
# Before these were choices.
_BEFORE = {
    "allocations": ("uniform",),
    "starts": ("inherit",),
    "stop_when_flat": False,
    "prune": "notebook",
    "confirm": 0,
    "cost": "params",
    "model": "student",
    "round_to": 1,
    "skip_broken": False,
    "resize": None,
    "weights": None,
    "normalize": None,
    "unaugmented": 0.0,
}
_OF_A_RUN = ("out", "resume", "quiet", "log_json", "tensorboard", "mlflow")  # not kept
_EVERY_ITEM = CollectionCheckStrategy.ALL_ITEMS


def to_record(config: SearchConfig) -> dict[str, Any]:
    """A configuration as JSON values."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(config).items()
        if name not in _OF_A_RUN
    }


def from_record(record: object) -> SearchConfig:
    """The configuration that `to_record` wrote.

    Raises:
        RefusedError: It is damaged: a setting is missing, unknown, or not of its type.
    """
    if not isinstance(record, dict):
        raise RefusedError("The configuration in search.json is damaged.")
    values: dict[str, Any] = _BEFORE | {
        name: tuple(value) if isinstance(value, list) else value for name, value in record.items()
    }
    try:
        for name in ("data_root", "checkpoint"):
            values[name] = None if values[name] is None else Path(values[name])
        for name, hint in get_type_hints(SearchConfig).items():
            if name not in _OF_A_RUN:
                check_type(values[name], hint, collection_check_strategy=_EVERY_ITEM)
        return SearchConfig(**values)
    except (KeyError, TypeError, TypeCheckError) as error:
        raise RefusedError(f"The configuration in search.json is damaged: {error}.") from error


def going_on(config: SearchConfig, kept: SearchConfig) -> SearchConfig:
    """The configuration of a run that goes on with a search.

    What is not given anew stands as it was kept. But --workers is for the CPU, where a new --gpus
    replaces it, and --trials-per-gpu is not, where --gpus 0 does.

    Args:
        config: As it was given, with the search's settings as defaults.
        kept: The search's.

    Raises:
        RefusedError: It differs where the stages would no longer be comparable.
    """
    if config.out is not None:
        raise RefusedError("--out starts a search and --resume goes on with one: give one.")
    for field in fields(config):
        mine, theirs = (absolute(getattr(one, field.name)) for one in (config, kept))
        if field.name not in (*_CHANGEABLE, *_OF_A_RUN) and mine != theirs:
            raise RefusedError(
                f"This search was started {_given(field.name, theirs)}, not "
                f"{_given(field.name, mine)}.\n"
                "Leave the flag out, or start another search with --out."
            )
    if config.gpus == 0 and config.trials_per_gpu == kept.trials_per_gpu:
        return replace(config, trials_per_gpu=1)
    stale = config.gpus not in (0, kept.gpus) and config.workers == kept.workers
    return replace(config, workers=None) if stale else config


def command_line(config: SearchConfig) -> str:
    """The command that starts such a search, with what differs from its flags' defaults."""
    arguments = [
        argument
        for field in fields(config)
        if field.name not in _OF_A_RUN
        and (value := getattr(config, field.name)) not in (None, field.default)
        for argument in _arguments(field.name, value)
    ]
    return shlex.join(["python", "search/run.py", *arguments])


def _given(name: str, value: Any) -> str:
    """How a setting is given on the command line, or not."""
    if value is None:
        return f"without {_flag(name)}"
    return f"with {' '.join(_arguments(name, value))}"


def _arguments(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [_flag(name if value else f"no_{name}")]
    return [_flag(name), *map(str, value if isinstance(value, tuple) else (value,))]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
