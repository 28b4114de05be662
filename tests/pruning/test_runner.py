import hashlib
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
import safetensors.torch
import torch

from models import StudentNet
from pruning import (
    NonFiniteError,
    Round,
    RoundRunner,
    StageStore,
    StoreError,
    allocate,
    fine_tune,
    recalibrate,
)

FIRST = Round(rate=0.5, epochs=1, lr=3e-3)
SECOND = Round(rate=0.7, epochs=1, lr=1e-3)
OTHER = Round(rate=0.9, epochs=2, lr=1e-3)


def run(runner: RoundRunner, store: StageStore, schedule: list[Round]) -> bytes:
    """Run a schedule through a store; returns the last stage's weights."""
    stage = store.child(None, None) or store.commit(*runner.root(), trial=0)
    for round_ in schedule:
        stage = store.child(stage.id, round_) or store.commit(
            *runner.child(stage, store.weights(stage.id), round_), trial=0
        )
    return store.weights(stage.id)


def test_rows_are_true(runner: RoundRunner, folder: Path) -> None:
    """The stage's file in a network of its own says what its record says."""
    store = StageStore(folder)
    run(runner, store, [FIRST, SECOND])
    assert [stage.channels[3:7] for stage in store] == [
        (64, 128, 128, 128),
        (32, 64, 64, 64),
        (22, 44, 44, 44),
    ]
    validation = runner.data.validation
    images = validation.pixels.view(-1, 16, 16, 3).permute(0, 3, 1, 2) / 255
    for stage in store:
        tensors = safetensors.torch.load_file(folder / stage.id / "model.safetensors")
        net = StudentNet(channels=stage.channels, num_classes=10)
        net.load_state_dict(tensors)
        with torch.no_grad():
            hits = net.eval()(images).argmax(1) == validation.labels
        assert hits.float().mean().item() == pytest.approx(stage.val_accuracy, abs=1e-6)
        assert sum(p.numel() for p in net.parameters()) == stage.params
        assert sum(t.nbytes for t in tensors.values()) == stage.size_bytes
        assert runner.architecture.size_bytes(stage.channels) == stage.size_bytes


def test_a_global_round_leaves_what_its_parents_weights_say(
    runner: RoundRunner, folder: Path
) -> None:
    """A record, in particular, has the counts of the network that lies beside it."""
    store = StageStore(folder)
    schedule = [FIRST, replace(SECOND, allocation="global"), SECOND]
    weights = run(runner, store, schedule)
    _, parent, divided, last = store
    wide = StudentNet(channels=parent.channels, num_classes=10)
    wide.load_state_dict(safetensors.torch.load(store.weights(parent.id)))
    expected = allocate(wide, runner.architecture, parent.channels, divided.schedule)
    assert divided.channels == expected != runner.architecture.channels_at(0.5 * 0.7)
    assert last.channels[3:7] == tuple(int(count * 0.7) for count in divided.channels[3:7])
    StudentNet(channels=last.channels, num_classes=10).load_state_dict(
        safetensors.torch.load(weights)
    )


def test_sharing_changes_nothing_but_the_cost(runner: RoundRunner, tmp_path: Path) -> None:
    """Byte-equal weights, whether other schedules ran before in the same store or not."""
    alone = run(runner, StageStore(tmp_path / "alone"), [FIRST, SECOND])
    shared = StageStore(tmp_path / "shared")
    run(runner, shared, [OTHER])
    run(runner, shared, [FIRST, OTHER])
    torch.rand(7)  # the process's own random state plays no part
    assert run(runner, shared, [FIRST, SECOND]) == alone
    assert len(shared) == 5


IN_ANOTHER_PROCESS = """
import hashlib, sys, torch
from dataclasses import replace
from pathlib import Path
from data import DataSource, open_data
from pruning import Origin, Recipe, Round, RoundRunner, StageStore, StudentArchitecture
from models import student_channels
torch.set_num_threads(1)
torch.manual_seed(1234)
data = open_data(DataSource(data="digits", image_size=16))
net = StudentArchitecture(channels=student_channels(8), num_classes=10)
origin = Origin(recipe=Recipe(root_epochs=1), seed=0, data_fingerprint=data.fingerprint,
                root={"channels": net.channels, "num_classes": 10}, device_type="cpu")
runner = RoundRunner(architecture=net, data=data, origin=origin, device=torch.device("cpu"))
store = StageStore(Path(sys.argv[1]))
root = store.commit(*runner.root(), trial=0)
other = store.commit(*runner.child(root, store.weights(root.id),
                                   Round(rate=0.9, epochs=2, lr=1e-3)), trial=0)
first = store.commit(*runner.child(root, store.weights(root.id),
                                   Round(rate=0.5, epochs=1, lr=3e-3)), trial=0)
print(hashlib.sha256(store.weights(first.id)).hexdigest())
"""


def test_another_process_makes_the_same_bytes(
    runner: RoundRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, str(tmp_path / "there")],
        capture_output=True,
        text=True,
        check=True,
    )
    here = run(runner, StageStore(tmp_path / "here"), [FIRST])
    assert done.stdout.strip() == hashlib.sha256(here).hexdigest()


def test_a_fresh_round_has_nothing_of_its_parent_but_the_shape(
    runner: RoundRunner, tmp_path: Path
) -> None:
    """Its network is the one that whoever trains that shape from scratch would get."""
    store = StageStore(tmp_path / "stages")
    fresh = replace(FIRST, start="fresh")
    weights = safetensors.torch.load(run(runner, store, [fresh]))
    _, child = store
    assert child.channels == runner.architecture.channels_at(FIRST.rate)

    torch.manual_seed(int(child.id, 16) >> 1)
    net = runner.architecture.build(child.channels)
    net = net.to(memory_format=torch.channels_last)
    recipe = runner.origin.recipe
    generator = torch.Generator().manual_seed(int(child.id, 16) >> 1)
    fine_tune(
        net,
        runner.data,
        epochs=FIRST.epochs,
        lr=FIRST.lr,
        batch_size=recipe.batch_size,
        weight_decay=recipe.weight_decay,
        generator=generator,
        decay=True,
        warm_up=recipe.warm_up,
        unaugmented=recipe.unaugmented_of(FIRST.epochs),
    )
    recalibrate(net, runner.data, generator=generator)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, weights[name]), name
    inherited = safetensors.torch.load(run(runner, store, [FIRST]))
    assert not torch.equal(inherited["fc.0.weight"], weights["fc.0.weight"])


def test_replicates_and_seeds_are_other_draws(runner: RoundRunner, tmp_path: Path) -> None:
    store = StageStore(tmp_path / "stages")
    again = replace(FIRST, replicate=1)
    assert run(runner, store, [FIRST]) != run(runner, store, [again])
    reseeded = replace(runner, origin=replace(runner.origin, seed=1))
    other = StageStore(tmp_path / "other")
    assert run(reseeded, other, []) != run(runner, store, [])


def test_divergence_commits_nothing(runner: RoundRunner, folder: Path) -> None:
    store = StageStore(folder)
    run(runner, store, [])
    with pytest.raises(NonFiniteError):
        run(runner, store, [replace(FIRST, lr=1e30)])
    assert len(StageStore(folder)) == 1


class Malice:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("write", [pickle.dump, torch.save])
def test_no_code_in_a_stage_is_run(
    runner: RoundRunner, folder: Path, tmp_path: Path, write: Callable[[object, IO[bytes]], None]
) -> None:
    """Not even where somebody gave the stage's record the checksum of it."""
    content = io.BytesIO()
    write(Malice(tmp_path / "executed"), content)
    store = StageStore(folder)
    root = store.commit(runner.root()[0], content.getvalue(), trial=0)
    with pytest.raises(safetensors.SafetensorError):
        runner.child(root, store.weights(root.id), FIRST)
    (folder / root.id / "stage.json").write_bytes(content.getvalue())
    with pytest.raises(StoreError, match=r"stage\.json"):
        StageStore(folder)
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_is_the_root_as_it_is(runner: RoundRunner) -> None:
    torch.manual_seed(5)
    trained = StudentNet(base=8, num_classes=10)
    draft, weights = replace(runner, checkpoint=trained.state_dict()).root()
    for name, tensor in safetensors.torch.load(weights).items():
        assert torch.equal(tensor, trained.state_dict()[name]), name
    assert draft.epochs == 0
    assert draft.parent is None


def test_epochs_are_reported_as_they_end(runner: RoundRunner, folder: Path) -> None:
    store = StageStore(folder)
    run(runner, store, [])
    root = store.child(None, None)
    assert root is not None
    epochs: list[int] = []
    runner.child(root, store.weights(root.id), OTHER, lambda epoch, _: epochs.append(epoch))
    assert epochs == [0, 1]
