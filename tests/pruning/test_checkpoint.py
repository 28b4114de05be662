"""Files as people make them, good and bad."""

import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from models import StudentNet, student_channels
from pruning import CheckpointError, RoundRunner, StageStore, read_checkpoint
from tests.pruning.saved import (
    Notes,
    State,
    assert_holds,
    assert_refused,
    like,
    trained,
    without,
    written,
)


@pytest.mark.parametrize("as_zip", [True, False])
def test_reads_what_torch_save_writes(path: Path, state: State, as_zip: bool) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=as_zip)
    assert_holds(read_checkpoint(path), state)


def test_reads_safetensors_whatever_their_name(path: Path, state: State) -> None:
    safetensors.torch.save_file(state, path)
    assert_holds(read_checkpoint(path), state)


def test_reads_the_notebook_s_full_network(path: Path) -> None:
    torch.save(StudentNet().state_dict(), path)
    checkpoint = read_checkpoint(path)
    assert (checkpoint.channels, checkpoint.num_classes) == (student_channels(), 11)
    trainable = [name for name, _ in StudentNet().named_parameters()]
    assert sum(checkpoint.tensors[name].numel() for name in trainable) == 256_779


CONTAINERS: dict[str, Callable[[State], Any]] = {
    "state_dict": lambda state: {"epoch": 3, "state_dict": state},
    "model": lambda state: {"model": state, "optimizer": {"lr": 0.1}},
    "model_state_dict": lambda state: {"model_state_dict": state, "model": "StudentNet"},
    "net": lambda state: {"net": state, "acc": 0.8},
    "nested": lambda state: {"model": {"state_dict": state}},
    "DataParallel": lambda state: {f"module.{name}": value for name, value in state.items()},
    "compiled": lambda state: {f"_orig_mod.{name}": value for name, value in state.items()},
    "averaged": lambda _: AveragedModel(trained()).state_dict(),
    "Lightning": lambda state: {
        "state_dict": {f"model.{name}": value for name, value in state.items()},
        "hyper_parameters": {"lr": 0.1},
    },
    "Lightning with a loss": lambda state: {
        "state_dict": {
            **{f"model.{name}": value for name, value in state.items()},
            "loss.weight": like((3,)),
            "accuracy.total": like(()),
        }
    },
    "a student beside its teacher": lambda state: {
        **{f"teacher.layer1.{name}": value for name, value in state.items() if "fc" not in name},
        **{f"student.{name}": value for name, value in state.items()},
    },
    "behind a normalisation": lambda state: {
        "0.mean": like((3, 1, 1)),
        **{f"1.{name}": value for name, value in state.items()},
    },
    "a tuple": lambda state: (12, state),
    "a list": lambda state: [{"state_dict": state}, {"optimizer": {}}],
    "a tuple in a tuple": lambda state: ("StudentNet", (3, state)),
    "a wrapper of one's own": lambda state: {
        f"module.net._orig_mod.{name}": value for name, value in state.items()
    },
    "compiled in part": lambda state: {
        name.replace("cnn.", "cnn._orig_mod."): value for name, value in state.items()
    },
    "ema": lambda state: {"ema": state, "decay": 0.999},
    "weights": lambda state: {"weights": state, "params": {"lr": 0.1}},
    "any name": lambda state: {"best": {"student": state}, 3: [state]},
    "half an average": lambda state: {"net": state, "ema": dict(list(state.items())[::2])},
    "twice the same": lambda state: {"last": state, "best": dict(state)},
    "thop": lambda state: (
        state | {"total_ops": like((1,)), "cnn.0.total_params": like((1,)), "fc.total_ops": 0}
    ),
    "arrays": lambda state: {name: value.numpy() for name, value in state.items()},
    "transposed arrays": lambda state: {
        name: np.array(value.numpy(), order="F") for name, value in state.items()
    },
    "both": lambda state: {f"module._orig_mod.{name}": value for name, value in state.items()},
    "all": lambda state: {"net": {f"_orig_mod.module.{n}": value for n, value in state.items()}},
    "parameters": lambda state: {
        name: nn.Parameter(value) if value.is_floating_point() else value
        for name, value in state.items()
    },
    "reversed": lambda state: dict(reversed(state.items())),
    "channels last": lambda state: {
        name: value.to(memory_format=torch.channels_last) if value.dim() == 4 else value
        for name, value in state.items()
    },
    "views": lambda state: {
        name: value.expand(2, *value.shape).clone()[1] for name, value in state.items()
    },
}


@pytest.mark.parametrize("wrap", CONTAINERS.values(), ids=CONTAINERS.keys())
def test_containers_change_nothing(
    path: Path, tmp_path: Path, state: State, wrap: Callable[[State], Any]
) -> None:
    torch.save(state, tmp_path / "bare.bin")
    torch.save(wrap(state), path)
    checkpoint = read_checkpoint(path)
    assert_holds(checkpoint, state)
    assert checkpoint.sha256 == read_checkpoint(tmp_path / "bare.bin").sha256


def test_counters_may_be_missing(path: Path, state: State) -> None:
    """PyTorch has them since 0.4.1; nothing that is computed depends on them."""
    torch.save(without(state, *(name for name in state if name.endswith("tracked"))), path)
    zeros = {name: torch.tensor(0) for name in state if name.endswith("tracked")}
    assert_holds(read_checkpoint(path), state | zeros)


def test_several_networks_are_refused_by_name(path: Path, state: State) -> None:
    other = dict(trained(seed=1).state_dict())
    torch.save({"state_dict": state, "nested": {"ema": other}}, path)
    assert_refused(path, "several networks: 'state_dict', 'nested.ema'")
    named = {"student": state, "teacher": other}
    torch.save({f"{of}.{name}": v for of, s in named.items() for name, v in s.items()}, path)
    assert_refused(path, "several networks: 'student', 'teacher'")
    averaged = {f"ema.module.{name}": value for name, value in other.items()}
    torch.save({"model": state | averaged}, path)
    assert_refused(path, "several networks: 'model.ema.module', 'model'")
    torch.save({1: state, 2: other}, path)
    assert_refused(path, "several networks")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("counters_too", [False, True])
def test_other_precisions_become_single(
    path: Path, state: State, kind: torch.dtype, counters_too: bool
) -> None:
    converted = {
        name: value.to(kind) if counters_too or value.is_floating_point() else value
        for name, value in state.items()
    }
    torch.save(converted, path)
    assert_holds(read_checkpoint(path), converted)


def test_the_digest_is_of_the_content(tmp_path: Path, state: State) -> None:
    def digest(tensors: State) -> str:
        torch.save(tensors, tmp_path / "some.bin")
        return read_checkpoint(tmp_path / "some.bin").sha256

    changed = state | {"fc.0.bias": state["fc.0.bias"].nextafter(torch.tensor(9.0))}
    swapped = state | {
        "cnn.1.1.weight": state["cnn.1.1.bias"],
        "cnn.1.1.bias": state["cnn.1.1.weight"],
    }
    assert len({digest(state), digest(changed), digest(swapped)}) == 3


def test_reads_tensors_that_were_saved_on_a_gpu(path: Path, state: State) -> None:
    """A legacy file names the device of each storage in its pickle."""
    torch.save(state, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    on_gpu = content.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    assert on_gpu != content
    path.write_bytes(on_gpu)
    assert_holds(read_checkpoint(path), state)


def test_a_stage_of_ours_can_be_a_root(runner: RoundRunner, folder: Path) -> None:
    stage = StageStore(folder).commit(*runner.root(), trial=0)
    checkpoint = read_checkpoint(folder / stage.id / "model.safetensors")
    assert checkpoint.channels == stage.channels
    draft, _ = replace(runner, checkpoint=checkpoint.tensors).root()
    assert draft.val_accuracy == stage.val_accuracy
    assert draft.val_loss == stage.val_loss


def with_value(name: str, value: Any) -> Callable[[State], State]:
    return lambda state: state | {name: value}


def with_first(name: str, number: float) -> Callable[[State], State]:
    def damage(state: State) -> State:
        tensor = state[name].double()
        tensor.view(-1)[0] = number
        return state | {name: tensor}

    return damage


DAMAGE: dict[str, tuple[Callable[[State], Any], tuple[str, ...]]] = {
    "a list": (lambda state: list(state.values()), ("list", "no state dict")),
    "a tensor": (lambda state: state["fc.0.bias"], ("Tensor", "no state dict")),
    "nothing in it": (lambda _: {}, ("lacks 'cnn.0.0.weight'", "more")),
    "an empty container": (lambda _: {"state_dict": {}}, ("lacks 'cnn.0.0.weight'",)),
    "half of it behind a prefix": (
        lambda state: {
            **{f"model.{name}": value for name, value in state.items() if "fc" not in name},
            "loss.weight": like((3,)),
        },
        ("it lacks 'fc.0.weight', 'fc.0.bias'\n",),
    ),
    "too deep": (lambda state: {"net": {"net": {"net": state}}}, ("has besides 'net'",)),
    "a key missing": (
        lambda state: without(state, "cnn.3.1.running_var"),
        ("it lacks 'cnn.3.1.running_var'\n",),
    ),
    "a key too many": (with_value("fc.2.weight", like((3, 3))), ("has besides 'fc.2.weight'",)),
    "half of it wrapped": (
        lambda state: {f"module.{name}" if "fc" in name else name: v for name, v in state.items()},
        ("lacks 'fc.0.weight', 'fc.0.bias' and has besides 'module.fc.0.weight'",),
    ),
    "a key that is no name": (with_value(7, like((1,))), ("has besides 'a key of type int'",)),
    "a key for a terminal": (with_value("\x1b[2J\n" * 99, like((1,))), (r"'\x1b[2J\n",)),
    "a number": (with_value("fc.0.bias", 1.5), ("float as fc.0.bias",)),
    "a wrong bias": (
        with_value("cnn.3.3.bias", like((6,))),
        ("cnn.3.3.bias has shape (6,), expected (7,)",),
    ),
    "a width that does not fit the next": (
        with_value("cnn.3.3.weight", like((7, 6, 1, 1))),
        ("cnn.3.3.weight has shape (7, 6, 1, 1), expected (7, 5, 1, 1)",),
    ),
    "no depthwise convolution": (
        with_value("cnn.2.0.weight", like((4, 4, 3, 3))),
        ("cnn.2.0.weight has shape (4, 4, 3, 3), expected (4, 1, 3, 3)",),
    ),
    "a grey image's stem": (
        with_value("cnn.0.0.weight", like((2, 1, 3, 3))),
        ("cnn.0.0.weight has shape (2, 1, 3, 3), expected (2, 3, 3, 3)",),
    ),
    "a scalar for a weight": (with_value("cnn.3.3.weight", like(())), ("has shape ()",)),
    "no channel": (with_value("cnn.3.3.weight", like((0, 5, 1, 1))), ("(0, 5, 1, 1)",)),
    "no class": (with_value("fc.0.weight", like((0, 10))), ("fc.0.weight has shape (0, 10)",)),
    "nan": (with_first("cnn.5.0.weight", float("nan")), ("cnn.5.0.weight", "not finite")),
    "infinity": (with_first("fc.0.bias", float("-inf")), ("fc.0.bias", "not finite")),
    "too large": (with_first("fc.0.weight", 1e300), ("fc.0.weight", "not finite")),
    "an endless count": (
        with_value("cnn.1.1.num_batches_tracked", torch.tensor(float("inf"))),
        ("cnn.1.1.num_batches_tracked", "not finite"),
    ),
    "negative variance": (with_first("cnn.2.1.running_var", -1.0), ("cnn.2.1.running_var",)),
    "whole numbers": (with_value("fc.0.bias", torch.zeros(3).int()), ("torch.int32",)),
    "complex": (with_value("fc.0.bias", torch.zeros(3) * 1j), ("torch.complex64",)),
    "sparse": (with_value("fc.0.bias", torch.zeros(3).to_sparse()), ("torch.sparse_coo",)),
    "no data": (with_value("fc.0.bias", torch.empty(3, device="meta")), ("on meta",)),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGE.values(), ids=DAMAGE.keys())
def test_anything_but_a_student_is_refused(
    path: Path, state: State, damage: Callable[[State], Any], words: tuple[str, ...]
) -> None:
    torch.save(damage(state), path)
    assert_refused(path, *words)


def test_no_file_is_refused(path: Path, tmp_path: Path) -> None:
    for none in (path, tmp_path, Path(os.devnull)):
        assert_refused(none, "not a file")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert_refused(pipe, "not a file")


def test_an_unreadable_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch()

    def fail(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert_refused(path, "cannot be read (Permission denied)")


def test_an_empty_file_is_refused(path: Path) -> None:
    path.touch()
    assert_refused(path, "is empty")


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors", "pickle 4"])
def test_a_truncated_file_is_refused(path: Path, state: State, form: str) -> None:
    whole = written(state if form == "safetensors" else {"net": state, "beside": Notes()}, form)
    for length in (1, 2, 7, 8, 9, 64, 600, len(whole) // 2, len(whole) - 200, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert_refused(path, "damaged")


@pytest.mark.parametrize(
    "content",
    [
        b"not found\n" * 9,
        b"<!DOCTYPE html><html>Google Drive - Virus scan warning</html>",
        b"\x89PNG\r\n\x1a\n" + bytes(99),
        bytes(999),
        pickle.dumps({"a": [1, 2]}),
        b"\x02" + bytes(7) + b"{}",
    ],
)
def test_other_files_are_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert_refused(path)


def test_flipped_bytes_raise_nothing_else(path: Path, state: State) -> None:
    generator = torch.Generator().manual_seed(0)
    for form in ("zip", "legacy", "safetensors", "pickle 4"):
        whole = written(state if form == "safetensors" else state | {"beside": Notes()}, form)
        for _ in range(60):
            content = bytearray(whole)
            for at in torch.randint(len(whole), (20,), generator=generator).tolist():
                content[at] ^= 1 << (at % 8)
            path.write_bytes(content)
            # A flipped bit may be that of a weight, which is then another number.
            with suppress(CheckpointError):
                read_checkpoint(path)


def test_reading_leaves_the_random_state_alone(path: Path, state: State) -> None:
    torch.save(state, path)
    before = torch.get_rng_state()
    read_checkpoint(path)
    assert torch.equal(torch.get_rng_state(), before)
