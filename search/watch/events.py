"""What happens in a search, and who is told."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from models import first_line
from search.errors import RefusedError, in_words


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened.

    Each has a `time` (UTC, ISO 8601), its name as `event`, and fields of its own:

    - `start`: `folder`, `sampler`, `workers`, `device_type`, `cost`, `max_epochs`, `trials`
    - `stage`: `stage`, `parent`, `trial`, `round`, `params`, `macs`, `size_bytes`, `latency_ms`,
      `val_accuracy`, `executed_epochs`, and `on_front`, whether it is there by now
    - `repeat`: the same of a repeat that --confirm asked for, but for `on_front`
    - `trial`: `trial`, `state` (complete, stopped or failed), `reason`
    - `progress`, every ten seconds: `trials`, `networks`, `front`, `hypervolume`,
      `executed_epochs`, `seconds`
    - `end`, the last one, unless the run was killed: `reason`
    """

    time: datetime
    name: str
    fields: Mapping[str, Any]


class Listener(Protocol):
    """Is told of events. What it raises ends it, and not the search."""

    flag: str
    """By which it was asked for."""

    def hear(self, event: Event) -> None:
        """Keep an event."""


class Events:
    """Tells listeners what happens.

    Args:
        listeners: They are told in this order.
        say: Is told which of them have failed, and why.
    """

    def __init__(
        self, listeners: Sequence[Listener] = (), say: Callable[[str], None] = print
    ) -> None:
        self._listeners = list(listeners)
        self._say = say

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def add(self, event: str, **fields: Any) -> None:
        """Tell all of an event. One who fails is told no more."""
        happened = Event(time=datetime.now(UTC), name=event, fields=fields)
        for listener in list(self._listeners):
            try:
                listener.hear(happened)
            except Exception as error:  # whatever it is, days of training are not lost for a log
                self._listeners.remove(listener)
                self._say(f"Nothing more is kept for {listener.flag}: {first_line(error)}")


class JsonLog:
    """Appends events to a file, one JSON object a line, with `time` (UTC, ISO 8601) and `event`.

    The file stays open, so that who reads a named pipe is not told after each that it has ended.

    Args:
        path: Of the file; its folder is made if there is none.

    Raises:
        RefusedError: It cannot be written.
    """

    flag = "--log-json"

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            raise RefusedError(
                f"--log-json {path} cannot be written: {in_words(error)}."
            ) from error

    def hear(self, event: Event) -> None:
        """Append an event."""
        time = event.time.isoformat(timespec="milliseconds")
        line = json.dumps({"time": time, "event": event.name, **event.fields}) + "\n"
        os.write(self._file, line.encode())
        if event.name == "end":
            os.close(self._file)
