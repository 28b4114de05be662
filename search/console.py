"""What a person sees of a search: lasting lines, and a status that is kept up to date."""

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console as Terminal
from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

_LIVE_SECONDS = 1.0
_PLAIN_SECONDS = 60.0
_FIRST_SECONDS = 10.0
_DUMB = ("dumb", "unknown")  # terminals that can only write lines


def open_streams() -> None:
    """Open what this process was started without of its standard streams, to read and say nothing.

    A file that is opened later, here or in a child, would take such a stream's place.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, mode))


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """End the program in peace when whoever reads its output has left, as `head` does.

    Raises:
        SystemExit: It has.
    """
    try:
        yield
    except BrokenPipeError:
        _say_nothing(sys.stdout)
        raise SystemExit(0) from None


def _say_nothing(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class Console:
    """Writes lines; on a terminal shows a status below them, else now and then as a plain line.

    Args:
        stream: Where to write; a terminal or anything else.
        quiet: Whether to leave out news and statuses.
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stdout
        if isinstance(self._stream, io.TextIOWrapper):
            self._stream.reconfigure(errors="backslashreplace")
        self._on_terminal = self._stream.isatty() and os.environ.get("TERM") not in _DUMB
        self._interval = _LIVE_SECONDS if self._on_terminal else _PLAIN_SECONDS
        self._live: Live | None = None
        self._due = time.monotonic() + min(self._interval, _FIRST_SECONDS)
        self.quiet = quiet

    def line(self, text: str) -> None:
        """Write a line that stays: a result, or what somebody should know."""
        self.close()
        self._write(f"{text}\n")

    def news(self, text: str) -> None:
        """Write a line on how things go, which stays, too."""
        if not self.quiet:
            self.line(text)

    def status_is_due(self) -> bool:
        """Whether enough time has passed for another status; ask before working one out."""
        return not self.quiet and time.monotonic() >= self._due

    def status(self, text: str, panel: Callable[[], RenderableType] | None = None) -> None:
        """Show where things stand: on a terminal by a panel, if there is one, else in a line."""
        self._due = time.monotonic() + self._interval
        if not self._on_terminal:
            self._write(f"{text}\n")
            return
        with self._heard():
            shown = Text(text, no_wrap=True, overflow="ellipsis") if panel is None else panel()
            self._lively().update(shown, refresh=True)

    def close(self) -> None:
        """Take the status away."""
        live, self._live = self._live, None
        if live is not None:
            with self._heard():
                live.stop()

    def _lively(self) -> Live:
        if self._live is None:
            self._live = Live(
                console=Terminal(file=self._stream, highlight=False, force_terminal=True),
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
            self._live.console.show_cursor()  # a program that is killed could not bring it back
        return self._live

    def _write(self, text: str) -> None:
        with self._heard():
            self._stream.write(text)
            self._stream.flush()

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Go on without a reader who has left."""
        try:
            yield
        except OSError:
            _say_nothing(self._stream)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, as 1:02:03 or 2:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
