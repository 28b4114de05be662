import io
import os
import time
from pathlib import Path

import pyte
import pytest
from rich.text import Text

from search.console import Console, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _able(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def screen(text: str, columns: int = 80) -> list[str]:
    """The lines that a terminal shows after some text, up to the last that is not empty."""
    shown = pyte.Screen(columns, 25)
    shown.set_mode(pyte.modes.LNM)  # as terminals take a newline for a return as well
    pyte.Stream(shown).feed(text)
    assert not shown.cursor.hidden
    return "\n".join(line.rstrip() for line in shown.display).rstrip().splitlines()


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
    assert screen(stream.getvalue()) == ["found"]


def test_a_panel_gives_way_to_lines() -> None:
    stream = Terminal()
    console = Console(stream)
    for number in range(3):
        console.status("", lambda number=number: Text(f"{number}\nof\n3"))  # type: ignore[misc]
        console.line(f"found {number}")
    console.status("", lambda: Text("3\nof\n3"))
    assert screen(stream.getvalue()) == ["found 0", "found 1", "found 2", "3", "of", "3"]


def test_a_terminal_that_can_only_write_lines_is_given_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    console = Console(stream)
    console.status("1 of 2", lambda: Text("a panel"))
    assert stream.getvalue() == "1 of 2\n"


def test_quiet_is_what_is_quiet() -> None:
    stream = io.StringIO()
    console = Console(stream, quiet=True)
    console.news("on the way")
    console.line("the end")
    assert not console.status_is_due()
    assert stream.getvalue() == "the end\n"


def test_a_status_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    stream = Terminal()
    Console(stream).status("x" * 50)
    assert screen(stream.getvalue(), columns=20) == ["x" * 19 + "…"]


def test_what_is_quickly_done_shows_no_status() -> None:
    console = Console(io.StringIO())
    assert not console.status_is_due()


def test_a_terminal_is_shown_a_status_after_a_second() -> None:
    console = Console(Terminal())
    time.sleep(1.1)
    assert console.status_is_due()
    console.status("1 of 2")
    assert not console.status_is_due()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (61.9, "1:01"), (3599, "59:59"), (3723, "1:02:03")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
