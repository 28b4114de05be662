"""The stage store: trained stages on disk, committed whole or not at all.

Whoever counts a store's stages or goes through them sees those that a search asked for. Repeats of
them, which say how far their accuracy is luck, lie beside them; see `StageStore.repeats`.

    stages/<id>/model.safetensors    written and synced first
    stages/<id>/stage.json           with the checksum of the weights, written and synced last
    stages/.damaged-<id>-<n>         what was found not to be what was committed

The two files of a stage are written in a folder beside it, which is then renamed. So a stage's
folder exists only when it is whole. There is one writer; any number of readers may look on.
"""

import hashlib
import json
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pruning.durable import UNFINISHED, replace_file, sync_folder, write_synced
from pruning.errors import StageFormatError, StoreError
from pruning.rounds import Round, Schedule
from pruning.stages import Draft, Stage, is_stage_id

_WEIGHTS, _RECORD = "model.safetensors", "stage.json"
_DAMAGED = ".damaged-"
_SEAL = "record_sha256"  # of the rest of stage.json


class StageStore:
    """The stages of one search, by id and by their place in the tree.

    Args:
        folder: Where the stages lie, or will lie.
        repair: Whether to read every stage's weights, set aside what is damaged, and clear away
            what an interrupted writer left. Only the one writer may.
        without: Ids of stages that are not to be read.

    Attributes:
        set_aside: Why stages were set aside, by id. They can be trained again.

    Raises:
        StageFormatError: A stage was written by another version.
        StoreError: A stage is damaged, and is not to be repaired.
    """

    def __init__(
        self, folder: Path, *, repair: bool = False, without: Collection[str] = ()
    ) -> None:
        self._folder = folder
        self._stages: dict[str, Stage] = {}
        self._edges: dict[tuple[str | None, Round | None], str] = {}
        self._timed: dict[tuple[tuple[int, ...], str | None], float] = {}
        self._executed_epochs = 0
        self.set_aside: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if repair:
            self._remove_unfinished()
        for stage_id in stage_ids(folder):
            if stage_id in without:
                continue
            try:
                self.adopt(stage_id)
                if repair:
                    self.weights(stage_id)
            except StoreError as error:
                if not repair or isinstance(error, StageFormatError):
                    raise
                self.put_aside(stage_id, str(error))
        for aside in folder.glob(f"{_DAMAGED}*"):
            with suppress(StoreError):  # its record may be what is damaged
                self._count(_parsed(aside / _RECORD))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Stage]:
        return (stage for stage in self._stages.values() if not stage.is_repeat)

    def __contains__(self, stage_id: str) -> bool:
        return stage_id in self._stages

    def __getitem__(self, stage_id: str) -> Stage:
        return self._stages[stage_id]

    @property
    def executed_epochs(self) -> int:
        """Fine-tuning epochs of all rounds that were accepted, of damaged stages' too.

        Those of repeats are not counted: they are no part of a search and its budget.
        """
        return self._executed_epochs

    @property
    def repeats(self) -> dict[str, list[Stage]]:
        """Other random draws of stages, by the id of the stage that they repeat."""
        found: dict[str, list[Stage]] = {}
        for stage in self._stages.values():
            if stage.is_repeat:
                first = self.child(stage.parent, replace(stage.schedule[-1], replicate=0))
                if first is not None:
                    found.setdefault(first.id, []).append(stage)
        return found

    def child(self, parent: str | None, round_: Round | None) -> Stage | None:
        """The stage that `round_` made of `parent`, if it is there; of (None, None), the root."""
        stage_id = self._edges.get((parent, round_))
        return None if stage_id is None else self._stages[stage_id]

    def path(self, schedule: Schedule) -> list[Stage]:
        """The stages of a schedule that exist, from the root on, up to the first that does not."""
        stages: list[Stage] = []
        steps: tuple[Round | None, ...] = (None, *schedule)
        for round_ in steps:
            stage = self.child(stages[-1].id if stages else None, round_)
            if stage is None:
                break
            stages.append(stage)
        return stages

    def adopt(self, stage_id: str) -> Stage:
        """Take up a stage that was committed by somebody else since this store was opened.

        Raises:
            StoreError: Its record is missing or damaged.
        """
        return self._admit(_read_record(self._folder, stage_id))

    def rescan(self) -> None:
        """Take up what was committed by somebody else since this store was opened.

        What was set aside by somebody else is forgotten.
        """
        present = stage_ids(self._folder)
        for stage_id in set(self._stages).difference(present):
            self._forget(stage_id)
        for stage_id in present:
            self.adopt(stage_id)

    def weights(self, stage_id: str) -> bytes:
        """Content of a stage's `model.safetensors`.

        Raises:
            StoreError: The file is missing or not what was committed.
        """
        return _read_weights(self._folder, self._stages[stage_id])

    def commit(self, draft: Draft, weights: bytes, *, trial: int) -> Stage:
        """Accept a stage, or return the one that was accepted under its id before.

        Networks of one shape take as long: what the first of them took on a device holds for all.

        Args:
            draft: What a worker made.
            weights: Content of its `model.safetensors`.
            trial: Number of the trial that had it trained.

        Returns:
            The stage, safely on disk.
        """
        folder = self._folder / draft.id
        if draft.id in self._stages or folder.exists():
            return self._stages.get(draft.id) or self.adopt(draft.id)
        known = self._timed.get((draft.channels, draft.latency_on))
        stage = Stage.accept(
            draft if known is None else replace(draft, latency_ms=known),
            trial=trial,
            executed_epochs=self._executed_epochs + (0 if draft.is_repeat else draft.epochs),
            sha256=_digest(weights),
        )
        unfinished = self._folder / f"{UNFINISHED}{stage.id}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        write_synced(unfinished / _WEIGHTS, weights)
        write_synced(unfinished / _RECORD, _encoded(stage))
        sync_folder(unfinished)
        unfinished.rename(folder)
        sync_folder(self._folder)
        return self._admit(stage)

    def set_test_accuracy(self, stage_id: str, accuracy: float) -> Stage:
        """Record the accuracy on the test split, in place of an earlier one."""
        stage = replace(self._stages[stage_id], test_accuracy=accuracy)
        replace_file(self._folder / stage_id / _RECORD, _encoded(stage))
        return self._admit(stage)

    def put_aside(self, stage_id: str, reason: str) -> None:
        """Move a damaged stage out of the way, so that it can be trained again."""
        self._forget(stage_id)
        number = sum(1 for _ in self._folder.glob(f"{_DAMAGED}{stage_id}-*"))
        (self._folder / stage_id).rename(self._folder / f"{_DAMAGED}{stage_id}-{number}")
        sync_folder(self._folder)
        self.set_aside[stage_id] = reason

    def _remove_unfinished(self) -> None:
        for path in self._folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(path)
        for path in self._folder.glob(f"*/{UNFINISHED}*"):
            path.unlink()

    def _forget(self, stage_id: str) -> None:
        stage = self._stages.pop(stage_id, None)
        if stage is not None:
            del self._edges[stage.edge]

    def _admit(self, stage: Stage) -> Stage:
        self._stages[stage.id] = stage
        self._edges[stage.edge] = stage.id
        if stage.latency_ms is not None:
            self._timed.setdefault((stage.channels, stage.latency_on), stage.latency_ms)
        self._count(stage)
        return stage

    def _count(self, stage: Stage) -> None:
        self._executed_epochs = max(self._executed_epochs, stage.executed_epochs)


def stage_ids(folder: Path) -> list[str]:
    """Ids of the stages that lie in a store's folder, whole or damaged; nothing else counts."""
    return sorted(path.name for path in folder.iterdir() if is_stage_id(path.name))


def damage(folder: Path, stage_id: str) -> str | None:
    """What is wrong with a stage in a store's folder, or None if it is whole."""
    try:
        _read_weights(folder, _read_record(folder, stage_id))
    except StoreError as error:
        return str(error)
    return None


def _read_record(folder: Path, stage_id: str) -> Stage:
    if not is_stage_id(stage_id):
        raise StoreError(f"{stage_id!r} cannot be a stage's id")
    path = folder / stage_id / _RECORD
    stage = _parsed(path)
    if stage.id != stage_id:
        raise StoreError(f"{path} describes the stage {stage.id}")
    return stage


def _parsed(path: Path) -> Stage:
    try:
        return Stage.from_json(_decoded(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error


def _read_weights(folder: Path, stage: Stage) -> bytes:
    path = folder / stage.id / _WEIGHTS
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    if _digest(content) != stage.sha256:
        raise StoreError(f"{path} does not have the checksum of its {_RECORD}")
    return content


def _encoded(stage: Stage) -> bytes:
    record = stage.to_json()
    sealed = {**record, _SEAL: _digest(_canonical(record))}
    return (json.dumps(sealed, indent=1, allow_nan=False) + "\n").encode()


def _decoded(content: bytes) -> object:
    record = json.loads(content)
    if isinstance(record, dict) and record.pop(_SEAL, None) != _digest(_canonical(record)):
        raise ValueError("it does not have its own checksum")
    return record


def _canonical(record: object) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
