"""The stage store: trained stages on disk, committed whole or not at all.

    stages/<id>/model.safetensors    written and synced first
    stages/<id>/stage.json           with the checksum of the weights, written and synced last

Both are written in a folder beside it, which is then renamed. So a stage's folder exists only
when it is whole. There is one writer; any number of readers may look on.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pruning.durable import UNFINISHED, replace_file, sync_folder, write_synced
from pruning.errors import StoreError
from pruning.rounds import Round
from pruning.stages import Draft, Stage


class StageStore:
    """The stages of one search, by id and by their place in the tree.

    Args:
        folder: Where the stages lie, or will lie.

    Raises:
        StoreError: A stage's record is damaged or of another format.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stages: dict[str, Stage] = {}
        self._edges: dict[tuple[str | None, Round | None], str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.iterdir()):
            if not path.name.startswith("."):
                self.adopt(path.name)

    def __len__(self) -> int:
        return len(self._stages)

    def __iter__(self) -> Iterator[Stage]:
        return iter(self._stages.values())

    def __contains__(self, stage_id: str) -> bool:
        return stage_id in self._stages

    def __getitem__(self, stage_id: str) -> Stage:
        return self._stages[stage_id]

    @property
    def executed_epochs(self) -> int:
        """Fine-tuning epochs of all rounds that were accepted."""
        return max((stage.executed_epochs for stage in self), default=0)

    def child(self, parent: str | None, round_: Round | None) -> Stage | None:
        """The stage that `round_` made of `parent`, if it is there; of (None, None), the root."""
        stage_id = self._edges.get((parent, round_))
        return None if stage_id is None else self._stages[stage_id]

    def adopt(self, stage_id: str) -> Stage:
        """Take up a stage that was committed by somebody else since this store was opened."""
        path = self._folder / stage_id / "stage.json"
        try:
            stage = Stage.from_json(json.loads(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} cannot be read: {error}") from error
        if stage.id != stage_id:
            raise StoreError(f"{path} describes the stage {stage.id}")
        return self._admit(stage)

    def weights(self, stage_id: str) -> bytes:
        """Content of a stage's `model.safetensors`.

        Raises:
            StoreError: The file is missing or not what was committed.
        """
        path = self._folder / stage_id / "model.safetensors"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error}") from error
        if _digest(content) != self._stages[stage_id].sha256:
            raise StoreError(f"{path} does not have the checksum of its stage.json")
        return content

    def commit(self, draft: Draft, weights: bytes) -> Stage:
        """Accept a stage, or return the one that was accepted under its id before.

        Returns:
            The stage, safely on disk.
        """
        if draft.id in self._stages:
            return self._stages[draft.id]
        stage = Stage.accept(
            draft,
            executed_epochs=self.executed_epochs + draft.epochs,
            sha256=_digest(weights),
        )
        unfinished = self._folder / f"{UNFINISHED}{stage.id}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        write_synced(unfinished / "model.safetensors", weights)
        write_synced(unfinished / "stage.json", _record(stage))
        sync_folder(unfinished)
        unfinished.rename(self._folder / stage.id)
        sync_folder(self._folder)
        return self._admit(stage)

    def set_test_accuracy(self, stage_id: str, accuracy: float) -> Stage:
        """Record the accuracy on the test split, in place of an earlier one."""
        stage = replace(self._stages[stage_id], test_accuracy=accuracy)
        replace_file(self._folder / stage_id / "stage.json", _record(stage))
        return self._admit(stage)

    def remove_unfinished(self) -> None:
        """Clear away what an interrupted writer left. Only the one writer may call this."""
        for path in self._folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(path)
        for path in self._folder.glob(f"*/{UNFINISHED}*"):
            path.unlink()

    def _admit(self, stage: Stage) -> Stage:
        self._stages[stage.id] = stage
        self._edges[stage.parent, stage.schedule[-1] if stage.schedule else None] = stage.id
        return stage


def _record(stage: Stage) -> bytes:
    return (json.dumps(stage.to_json(), indent=1, allow_nan=False) + "\n").encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
