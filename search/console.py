"""What a person sees of a search: lasting lines, and on a terminal one that is kept up to date."""

import io
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_LIVE_SECONDS = 0.5
_PLAIN_SECONDS = 10.0


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
    """Writes lines; shows a status on a terminal's last line, or now and then as a plain line.

    Args:
        stream: Where to write; a terminal or anything else.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        if isinstance(self._stream, io.TextIOWrapper):
            self._stream.reconfigure(errors="backslashreplace")
        self._live = self._stream.isatty()
        self._interval = _LIVE_SECONDS if self._live else _PLAIN_SECONDS
        self._shown = ""
        self._due = time.monotonic() + self._interval

    def line(self, text: str) -> None:
        """Write a line that stays."""
        self._erase()
        self._write(f"{text}\n")

    def status_is_due(self) -> bool:
        """Whether enough time has passed for another status; ask before working one out."""
        return time.monotonic() >= self._due

    def status(self, text: str) -> None:
        """Show where things stand."""
        self._due = time.monotonic() + self._interval
        if not self._live:
            self._write(f"{text}\n")
            return
        self._erase()
        self._shown = text[: shutil.get_terminal_size().columns - 1]
        self._write(self._shown)

    def close(self) -> None:
        """Take the status away."""
        self._erase()

    def _erase(self) -> None:
        if self._shown:
            self._write("\r" + " " * len(self._shown) + "\r")
            self._shown = ""

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # the reader left; the search goes on without
            _say_nothing(self._stream)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, as 1:02:03 or 2:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
