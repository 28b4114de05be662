"""Makes reference.md of what the program itself says: `python docs/make_reference.py`."""

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tyro.conf import FlagCreatePairsOff, Positional

from search.checking import CheckUp
from search.configuration import SearchConfig
from search.picking import Pick
from search.reporting import Report
from search.results.folder import ResultsFolder
from search.results.tables import COLUMNS
from search.watch.events import Event

REFERENCE = Path(__file__).with_name("reference.md")
COMMANDS = {"run.py": SearchConfig, "report.py": Report, "pick.py": Pick, "checkup.py": CheckUp}
_TITLE = "Made by `python docs/make_reference.py` of what the program itself says."
_TABLES = (
    "They are those of `pareto.csv` and `candidates.csv`, which has one more: `on_front`. An "
    "empty cell is a number that is not known. JSON lists have one entry a round."
)
_EXIT_CODES = "Exit codes: "
_WIDTH = 99


def reference() -> str:
    """The text of reference.md."""
    said = {name: _paragraphs(command) for name, command in COMMANDS.items()}
    parts = ["# Reference", _TITLE]
    for name, command in COMMANDS.items():
        words = (_escaped(text) for text in said[name] if not text.startswith(_EXIT_CODES))
        parts += [f"## {name}", *map(_filled, words), _items(_flags(command))]
    codes = (
        f"`{name}`: {text.removeprefix(_EXIT_CODES)}"
        for name, texts in said.items()
        for text in texts
        if text.startswith(_EXIT_CODES)
    )
    parts += ["## Exit codes", _items(codes)]
    parts += ["## The results folder", *_with_list(ResultsFolder)]
    columns = (f"`{name}`: {_escaped(meaning)}" for name, meaning in COLUMNS.items())
    parts += ["## Columns", _filled(_TABLES), _items(columns)]
    parts += ["## Events of --log-json", *_with_list(Event)]
    return "\n\n".join(parts) + "\n"


def _paragraphs(documented: type) -> list[str]:
    """What a class says of itself, without what it says to programmers."""
    text = (inspect.getdoc(documented) or "").partition("\n\nArgs:")[0]
    return text.split("\n\n")


def _with_list(documented: type) -> Iterator[str]:
    """The list in what a class says of itself, and what stands before and behind it."""
    for text in _paragraphs(documented)[1:]:
        entries = re.split(r"^- ", text, flags=re.MULTILINE)
        yield _filled(text) if len(entries) == 1 else _items(entries[1:])


def _flags(command: type) -> Iterator[str]:
    hints = get_type_hints(command, include_extras=True)
    for field in fields(command):
        kind, *notes = get_args(hints[field.name])
        # What tyro.conf.arg returns has no public type.
        said = next(note for note in notes if hasattr(note, "help_behavior_hint"))
        name = _name(field, kind, notes)
        value = said.metavar or _choices(kind)
        shown = value if Positional in notes else f"{name} {value or ''}".rstrip()
        default = _default(field, said.help_behavior_hint)
        behind = "" if default is None else f" Default: {default}."
        yield f"`{shown}`: {_escaped(said.help + behind)}"


def _name(field: Field[Any], kind: Any, notes: list[Any]) -> str:
    name = field.name.replace("_", "-")
    pair = kind is bool and FlagCreatePairsOff not in notes
    return f"--{name}, --no-{name}" if pair else f"--{name}"


def _choices(kind: Any) -> str | None:
    return f"{{{','.join(get_args(kind))}}}" if get_origin(kind) is Literal else None


def _default(field: Field[Any], said: str | None) -> str | None:
    """As a user would give it; None where a value must be given."""
    if said:
        return said.removeprefix("(default: ").removesuffix(")")
    match field.default:
        case bool(value):
            return "yes" if value else "no"
        case tuple(values):
            return " ".join(map(str, values))
        case value:
            return None if value is MISSING else str(value)


def _items(entries: Iterable[str]) -> str:
    return "\n".join(_filled(entry, "- ", "  ") for entry in entries)


def _filled(text: str, first: str = "", further: str = "") -> str:
    return textwrap.fill(
        " ".join(text.split()),
        _WIDTH,
        initial_indent=first,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _escaped(text: str) -> str:
    """Text as Markdown that shows it, code in backticks apart."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*_<])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


if __name__ == "__main__":
    REFERENCE.write_text(reference(), encoding="utf-8")
