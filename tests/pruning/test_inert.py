"""Files with objects beside the weights, and files that attackers would make."""

import argparse
import datetime
import os
import pickle
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pruning import read_checkpoint
from pruning.inert import Inert
from tests.pruning.saved import (
    Notes,
    Shade,
    State,
    assert_holds,
    assert_refused,
    trained,
    written,
)


class Settings(dict[str, Any]):
    pass


def settings() -> Settings:
    made = Settings(width=16)
    made.source = Path("train.py")  # type: ignore[attr-defined]
    return made


BESIDE: dict[str, Any] = {
    "a scalar": np.float64(0.8),
    "an array": np.arange(6.0).reshape(2, 3),
    "a namespace": argparse.Namespace(lr=0.1, data=Path("food-11")),
    "a path": Path("food-11"),
    "a date": datetime.datetime(2020, 5, 1, tzinfo=datetime.UTC),
    "an enumeration": {Shade.DARK: Shade.DARK},
    "a class": Notes(),
    "a dictionary's class": settings(),
    "a history": defaultdict(list, loss=[0.5]),
    "a queue": deque([0.5, 0.4]),
    "a function": torch.relu,
    "an optimizer": torch.optim.AdamW([nn.Parameter(torch.zeros(2))]),
}


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE.keys())
def test_what_lies_beside_the_weights_is_left_out(
    path: Path, state: State, beside: Any, as_zip: bool
) -> None:
    torch.save({"beside": beside, "net": state}, path, _use_new_zipfile_serialization=as_zip)
    before = set(torch.serialization.get_safe_globals())
    assert_holds(read_checkpoint(path), state)
    assert set(torch.serialization.get_safe_globals()) == before


class Attack:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("form", ["zip", "legacy", *(f"pickle {n}" for n in range(6))])
@pytest.mark.parametrize("inside", [False, True])
def test_no_code_of_a_file_is_run(
    path: Path, tmp_path: Path, state: State, form: str, inside: bool
) -> None:
    target = tmp_path / "made"
    attack = Attack(target)
    path.write_bytes(written(state | {"fc.0.bias": attack} if inside else attack, form))
    assert_refused(path)
    assert not target.exists()
    if form in ("zip", "legacy") and not inside:  # the attack is a real one
        torch.load(path, weights_only=False)
        assert target.exists()


class Execution:
    """The same, by what PyTorch's reader bars no module of."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"with open({str(self.target)!r}, 'w'): pass",)


@pytest.mark.parametrize("form", ["zip", "legacy", *(f"pickle {n}" for n in range(2, 6))])
@pytest.mark.parametrize("attack", [Attack, Execution])
def test_weights_beside_an_attack_are_read_or_refused(
    path: Path, tmp_path: Path, state: State, form: str, attack: type[Attack | Execution]
) -> None:
    target = tmp_path / "made"
    path.write_bytes(written({"attack": attack(target), "net": state}, form))
    if attack is Attack and form in ("zip", "legacy"):
        assert_refused(path, "would run code (posix.system)")
    else:
        assert_holds(read_checkpoint(path), state)
    assert not target.exists()
    if form.startswith("pickle"):  # the attack is a real one
        pickle.loads(path.read_bytes())
        assert target.exists()


GLOBAL = b"ctorch._utils\n_rebuild_tensor_v2\n"


@pytest.mark.parametrize("named", [b"cbuiltins\nlist\n", GLOBAL, b"cpruning.inert\nInert\n"])
@pytest.mark.parametrize("torch_s", [True, False])
def test_a_file_changes_nothing_that_it_names(path: Path, named: bytes, torch_s: bool) -> None:
    """A pickle may set attributes of what is on its stack: here of a function or a class."""
    sets = b"\x80\x02" + named + b"(N}X\x0c\x00\x00\x00__defaults__)stb."
    whole = written({}, "legacy")
    empty = pickle.dumps({}, protocol=2)
    assert whole.count(empty) == 1
    path.write_bytes(whole.replace(empty, sets) if torch_s else sets)
    before = torch._utils._rebuild_tensor_v2.__defaults__
    assert_refused(path)
    assert torch._utils._rebuild_tensor_v2.__defaults__ == before
    assert not hasattr(Inert, "__defaults__")


def test_a_network_in_the_older_format_is_refused_with_the_way_out(path: Path) -> None:
    """It holds source code, which PyTorch's reader does not skip."""
    path.write_bytes(written(trained(), "legacy"))
    assert_refused(path, "would run code (models.student.StudentNet)", "net.state_dict()")


def test_a_pickle_takes_no_memory_for_places_that_it_does_not_fill(path: Path) -> None:
    path.write_bytes(b"\x80\x02}r\xff\xff\xff\xff.")
    assert_refused(path, "damaged")
