"""The results folder: where a search lives, and who may work on it."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pruning.durable import UNFINISHED, replace_file
from search.errors import RefusedError

FORMAT = 2
"""Version of `search.json` and of the folder's layout."""


class ResultsFolder:
    """Names and access of one search's files.

    - `pareto.csv`: the front, by ascending cost
    - `candidates.csv`: every network that was made
    - `report.html`: all of it to look at, in one file that needs no network
    - `pareto.png`: the front as a picture
    - `stages/<id>/`: a network, `model.safetensors`, and its record, `stage.json`
    - `stages/.damaged-<id>-<n>/`: a network that was set aside, and trained again
    - `study.db`: the ledger, an Optuna study, which optuna-dashboard opens
    - `search.json`: configuration, versions, hardware, the data's fingerprint
    - `picked/<id>/`: a network that pick.py has taken home
    - `tensorboard/`: event files, with --tensorboard
    - `.lock`: held by the run that works on the folder

    The ledger, the stages and search.json are what a search is; the rest is made of them.

    A folder becomes a search when search.json is renamed into place. From then on it can be
    resumed, whatever else is missing.

    Args:
        path: The folder; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stages = path / "stages"
        self.ledger = path / "study.db"
        self.scratch = path / f"{UNFINISHED}tune"
        self._description = path / "search.json"

    def is_search(self) -> bool:
        """Whether a search lives here."""
        return self._description.exists()

    def read(self) -> dict[str, Any]:
        """The content of search.json.

        Raises:
            RefusedError: No search lives here, or it is of another format.
        """
        try:
            content = json.loads(self._description.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise RefusedError(
                f"{self.path} holds no search.\nStart one there with --out {self.path}."
            ) from None
        except (ValueError, OSError) as error:
            raise RefusedError(f"{self._description} cannot be read: {error}.") from error
        if not isinstance(content, dict) or not isinstance(content.get("config"), dict):
            raise RefusedError(f"{self._description} is damaged: it describes no search.")
        if content.get("format") != FORMAT:
            raise RefusedError(
                f"{self._description} has format {content.get('format')}; this version of the "
                f"program reads {FORMAT}."
            )
        return dict(content)

    def write(self, content: Mapping[str, Any]) -> None:
        """Put search.json in place."""
        record = {"format": FORMAT, **content}
        replace_file(self._description, (json.dumps(record, indent=1) + "\n").encode())

    def put(self, name: str, content: str | bytes) -> None:
        """Put in place what is derived, such as a table."""
        whole = content.encode() if isinstance(content, str) else content
        replace_file(self.path / name, whole)

    def check(self, *, resume: bool) -> None:
        """Whether a search lives here that can be resumed, or none, so that one can start.

        Raises:
            RefusedError: It is the other way round.
        """
        if resume:
            self.read()
        elif self.is_search():
            raise RefusedError(
                f"{self.path} already holds a search.\n"
                f"Go on with it by --resume {self.path}, or choose another --out."
            )
        elif self.stages.exists() or self.ledger.exists():
            raise RefusedError(
                f"{self.path} holds what is left of a search, but no search.json.\n"
                "Put that back, or choose another --out."
            )

    @contextmanager
    def locked(self, *, resume: bool) -> Iterator[None]:
        """Hold the folder for one driver.

        Args:
            resume: Whether a search must live here, or must not.

        Raises:
            RefusedError: It does, or does not; or another driver holds it; or it cannot be
                written.
        """
        lock = FileLock(self.path / ".lock")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            raise RefusedError(
                f"Another run is working on {self.path}: wait for it, or stop it first.\n"
                f"If it died on another machine, remove its lock: {lock.lock_file}."
            ) from None
        except OSError as error:
            raise RefusedError(
                f"{self.path} cannot be written: {error.strerror}.\nChoose another --out."
            ) from error
        try:
            self.check(resume=resume)
            for leftover in self.path.glob(f"{UNFINISHED}*"):
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
            yield
        finally:
            lock.release()
