"""What happens in a search, for programs: a file with one JSON object a line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from search.errors import RefusedError, in_words


class EventLog:
    """Appends events to a file, if there is one to append to.

    Each has a `time` (UTC, ISO 8601), its name as `event`, and fields of its own:

    - `start`: `folder`, `sampler`, `workers`, `device_type`, `cost`, `max_epochs`, `trials`
    - `stage`: `stage`, `parent`, `trial`, `round`, `params`, `macs`, `size_bytes`, `latency_ms`,
      `val_accuracy`, `executed_epochs`, and `on_front`, whether it is there by now
    - `repeat`: the same of a repeat that --confirm asked for, but for `on_front`
    - `trial`: `trial`, `state` (complete, stopped or failed), `reason`
    - `progress`, every ten seconds: `trials`, `networks`, `front`, `hypervolume`,
      `executed_epochs`, `seconds`
    - `end`: `reason`

    Args:
        path: Of the file; None keeps no log.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    @classmethod
    @contextmanager
    def open(cls, path: Path | None) -> Iterator[Self]:
        """Append to a file, in the end the reason of the end; without a path keep no log.

        Raises:
            RefusedError: The file cannot be written.
        """
        if path is not None:
            try:
                path.open("a").close()
            except OSError as error:
                raise RefusedError(
                    f"--log-json {path} cannot be written: {in_words(error)}."
                ) from error
        log = cls(path)
        try:
            yield log
        except BaseException as why:
            log.add("end", reason=str(why) or type(why).__name__)
            raise
        log.add("end", reason="done")

    @property
    def wanted(self) -> bool:
        """Whether anything is kept."""
        return self._path is not None

    def add(self, event: str, **fields: Any) -> None:
        """Append an event. A disk that is full ends the log, and not the search."""
        if self._path is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"time": now, "event": event, **fields}) + "\n")
        except OSError:
            self._path = None
