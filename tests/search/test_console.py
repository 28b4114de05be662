import io
import os
import time
from pathlib import Path

import pytest

from search.console import Console, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(text: str) -> list[str]:
    """What a terminal shows after some text: a carriage return goes back, not down."""
    lines = []
    for line in text.split("\n"):
        shown: list[str] = []
        for part in line.split("\r"):
            shown[: len(part)] = list(part)
        lines.append("".join(shown).rstrip())
    return lines


def test_a_reader_that_leaves_does_not_end_the_program() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stream:  # noqa: PTH123
        console = Console(stream)
        console.line("nobody hears this")
        console.line("nor this")


def test_what_the_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "ascii"
    with path.open("w", encoding="ascii") as stream:
        Console(stream).line("food ü")
    assert path.read_text() == "food \\xfc\n"


def test_plain_output_is_lines() -> None:
    stream = io.StringIO()
    console = Console(stream)
    console.status("1 of 2")
    console.line("found")
    console.close()
    assert stream.getvalue() == "1 of 2\nfound\n"


def test_a_terminal_keeps_lines_above_one_status() -> None:
    stream = Terminal()
    console = Console(stream)
    console.status("1 of 2, a long one")
    console.line("found")
    console.status("2 of 2")
    assert screen(stream.getvalue()) == ["found", "2 of 2"]
    console.close()
    assert screen(stream.getvalue()) == ["found", ""]


def test_a_status_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    stream = Terminal()
    Console(stream).status("x" * 50)
    assert stream.getvalue() == "x" * 19


def test_what_is_quickly_done_shows_no_status() -> None:
    console = Console(io.StringIO())
    assert not console.status_is_due()


def test_a_terminal_is_shown_a_status_after_half_a_second() -> None:
    console = Console(Terminal())
    time.sleep(0.6)
    assert console.status_is_due()
    console.status("1 of 2")
    assert not console.status_is_due()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (61.9, "1:01"), (3599, "59:59"), (3723, "1:02:03")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
