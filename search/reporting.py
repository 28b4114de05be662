"""The page of one search or several: `python search/report.py RESULTS...`; see `--help`."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from search.console import Console, reader_may_leave
from search.errors import RefusedError, damaged, in_words
from search.kept import command_line, from_record
from search.paths import at_home

if TYPE_CHECKING:
    from search.results.folder import ResultsFolder
    from search.results.page import Subject

# Imports inside the functions below spare --help the seconds of torch.

_DONE, _REFUSED = 0, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Make the page and the picture of a search anew: report.html and pareto.png.

    Of several searches, which must have the same images and the same --cost, the fronts are in
    one picture, and hypervolumes on one scale. While a search runs, it makes its own page.

    Exit codes: 0, done; 2, refused; 130, interrupted.
    """

    results: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="RESULTS ...",
            help="One results folder or several.",
            help_behavior_hint="",
        ),
    ]
    out: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="DIR",
            help="Where to write the two files.",
            help_behavior_hint="(default: the first results folder)",
        ),
    ] = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a page from the command line; returns the exit code."""
    with reader_may_leave():
        asked = tyro.cli(Report, args=arguments)
    try:
        path = _make(asked)
    except RefusedError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return _REFUSED
    except OSError as error:
        print(f"{in_words(error)}.", file=sys.stderr)  # noqa: T201
        return _REFUSED
    Console().line(f"The page is {path}")
    return _DONE


def _make(asked: Report) -> Path:
    from search.results.folder import ResultsFolder
    from search.results.page import publish

    folders = [ResultsFolder(at_home(path)) for path in asked.results]
    if not folders:
        raise RefusedError("Give a results folder, such as results/digits.")
    subjects = [_subject(folder) for folder in folders]
    target = folders[0] if asked.out is None else ResultsFolder(at_home(asked.out))
    target.path.mkdir(parents=True, exist_ok=True)
    with target.locked(resume=True) if target.is_search() else nullcontext():
        publish(subjects, target)
    return target.path / "report.html"


def _subject(folder: "ResultsFolder") -> "Subject":
    from pruning import StageStore, StoreError
    from search.results.page import Subject

    config = from_record(folder.read()["config"])
    try:
        store = StageStore(folder.stages)
    except StoreError as error:
        raise damaged(folder.path, error) from error
    return Subject(folder=folder, store=store, cost=config.cost, command=command_line(config))
