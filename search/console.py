"""What a person sees of a search: lasting lines, and on a terminal one that is kept up to date."""

import io
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TextIO

_LIVE_SECONDS = 0.5
_PLAIN_SECONDS = 10.0


class Console:
    """Writes lines; shows a status on a terminal's last line, or now and then as a plain line.

    Args:
        stream: Where to write; a terminal or anything else.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        # A process can be started without an output.
        self._stream = stream or sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
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
        except OSError:  # the reader left, as `head` does; the search goes on without
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, as 1:02:03 or 2:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
