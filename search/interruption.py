"""Ctrl-C and its like: ends a search at a point where nothing is half done."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Ctrl-C, the end of a job, the end of a session, a scheduler's notice that a job's end is near.
_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def heeded() -> list[signal.Signals]:
    """The signals that ask for the end, but for those that this process was started to ignore.

    So `nohup` keeps a search from SIGHUP, and a shell its background jobs from SIGINT.
    """
    return [number for number in _ASKING if signal.getsignal(number) is not signal.SIG_IGN]


def heed(handler: Callable[[int, FrameType | None], Any]) -> None:
    """Have every signal that asks for the end answered by `handler`."""
    for number in heeded():
        signal.signal(number, handler)


class Interruption:
    """Whether somebody asked for the end."""

    def __init__(self) -> None:
        self._asked = False

    @property
    def asked(self) -> bool:
        """Whether the end was asked for."""
        return self._asked

    def check(self) -> None:
        """Called where it is safe to end.

        Raises:
            KeyboardInterrupt: The end was asked for.
        """
        if self._asked:
            raise KeyboardInterrupt

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take note of what asks for the end; a second time it ends the program at once."""
        before = {number: signal.getsignal(number) for number in heeded()}
        heed(self._note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
