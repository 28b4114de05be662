"""Files as people make them, good and bad, and as attackers would."""

import io
import os
import pickle
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from models import StudentNet, student_channels
from pruning import Checkpoint, CheckpointError, RoundRunner, StageStore, read_checkpoint

CHANNELS = (2, 4, 5, 7, 9, 8, 6, 10)
CLASSES = 3

State = dict[str, Any]


def trained(seed: int = 0) -> StudentNet:
    """A net whose every tensor is random, running statistics and counters included."""
    generator = torch.Generator().manual_seed(seed)
    net = StudentNet(channels=CHANNELS, num_classes=CLASSES)
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.25)
        else:
            tensor.fill_(1000 + int(name[4]))
    return net


@pytest.fixture
def state() -> State:
    return dict(trained().state_dict())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "student_custom_small.bin"


def assert_holds(checkpoint: Checkpoint, state: Mapping[str, Tensor]) -> None:
    assert checkpoint.channels == CHANNELS
    assert checkpoint.num_classes == CLASSES
    net = StudentNet(channels=checkpoint.channels, num_classes=checkpoint.num_classes)
    assert list(checkpoint.tensors) == list(net.state_dict())
    for name, tensor in checkpoint.tensors.items():
        assert torch.equal(tensor, state[name].to(tensor.dtype)), name
        assert tensor.dtype == (torch.int64 if name.endswith("tracked") else torch.float32)
        assert tensor.is_contiguous()
        assert not tensor.requires_grad
        assert tensor.untyped_storage().nbytes() == tensor.nbytes  # no view of something larger
    net.load_state_dict(checkpoint.tensors)


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


def assert_refused(path: Path, *words: str) -> None:
    with pytest.raises(CheckpointError) as refusal:
        read_checkpoint(path)
    message = str(refusal.value)
    assert message.startswith(f"{path} ")
    assert len(message.splitlines()) <= 2
    assert message.isascii() or "…" in message
    for word in words:
        assert word in message


def without(state: State, *names: str) -> State:
    return {name: value for name, value in state.items() if name not in names}


def with_value(name: str, value: Any) -> Callable[[State], State]:
    return lambda state: state | {name: value}


def with_first(name: str, number: float) -> Callable[[State], State]:
    def damage(state: State) -> State:
        tensor = state[name].double()
        tensor.view(-1)[0] = number
        return state | {name: tensor}

    return damage


def like(shape: tuple[int, ...]) -> Tensor:
    return torch.zeros(shape)


DAMAGE: dict[str, tuple[Callable[[State], Any], tuple[str, ...]]] = {
    "a list": (lambda state: list(state.values()), ("list", "no state dict")),
    "a tensor": (lambda state: state["fc.0.bias"], ("Tensor", "no state dict")),
    "nothing in it": (lambda _: {}, ("lacks 'cnn.0.0.weight'", "more")),
    "an empty container": (lambda _: {"state_dict": {}}, ("lacks 'cnn.0.0.weight'",)),
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
    "a key that is no name": (with_value(7, like((1,))), ("has besides '7'",)),
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
    assert_refused(path, "not a file")
    assert_refused(tmp_path, "not a file")
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


def written(value: Any, form: str) -> bytes:
    if form == "safetensors":
        return safetensors.torch.save(value)
    if form.startswith("pickle"):
        return pickle.dumps(value, protocol=int(form[-1]))
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=form == "zip")
    return file.getvalue()


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_a_truncated_file_is_refused(path: Path, state: State, form: str) -> None:
    whole = written(state, form)
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
    for form in ("zip", "legacy", "safetensors"):
        whole = written(state, form)
        for _ in range(60):
            content = bytearray(whole)
            for at in torch.randint(len(whole), (20,), generator=generator).tolist():
                content[at] ^= 1 << (at % 8)
            path.write_bytes(content)
            # A flipped bit may be that of a weight, which is then another number.
            with suppress(CheckpointError):
                read_checkpoint(path)


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


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_whole_network_is_refused_with_the_way_out(path: Path, form: str) -> None:
    path.write_bytes(written(trained(), form))
    assert_refused(path, "would run code (models.student.StudentNet)", "net.state_dict()")


def test_reading_leaves_the_random_state_alone(path: Path, state: State) -> None:
    torch.save(state, path)
    before = torch.get_rng_state()
    read_checkpoint(path)
    assert torch.equal(torch.get_rng_state(), before)
