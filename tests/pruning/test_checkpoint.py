"""Files as people make them, good and bad, and as attackers would."""

import argparse
import datetime
import enum
import io
import os
import pickle
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from models import StudentNet, student_channels
from pruning import Checkpoint, CheckpointError, RoundRunner, StageStore, read_checkpoint
from pruning.inert import Inert

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
    "averaged": lambda _: AveragedModel(trained()).state_dict(),
    "Lightning": lambda state: {
        "state_dict": {f"model.{name}": value for name, value in state.items()},
        "hyper_parameters": {"lr": 0.1},
    },
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


class Shade(enum.Enum):
    DARK = 1


class Settings(dict[str, Any]):
    pass


class Notes:
    def __init__(self) -> None:
        self.shades = [Shade.DARK]


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
    "a whole network": nn.Linear(2, 2),
}


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE.keys())
def test_what_lies_beside_the_weights_is_left_out(
    path: Path, state: State, beside: Any, as_zip: bool
) -> None:
    is_module = isinstance(beside, nn.Module)
    if is_module and not as_zip:
        pytest.skip("the older format holds source code of networks, and is refused")
    torch.save({"beside": beside, "net": state}, path, _use_new_zipfile_serialization=as_zip)
    before = set(torch.serialization.get_safe_globals())
    assert_holds(read_checkpoint(path), state)
    assert set(torch.serialization.get_safe_globals()) == before


def test_counters_may_be_missing(path: Path, state: State) -> None:
    """PyTorch has them since 0.4.1; nothing that is computed depends on them."""
    torch.save(without(state, *(name for name in state if name.endswith("tracked"))), path)
    zeros = {name: torch.tensor(0) for name in state if name.endswith("tracked")}
    assert_holds(read_checkpoint(path), state | zeros)


def half(tensor: Tensor) -> Any:
    """As the course does it: what is no array but a number stays one in double precision."""
    array = np.float64(tensor.numpy())
    return np.float16(array) if isinstance(array, np.ndarray) else array


def quantized(tensor: Tensor) -> Any:
    array = np.float64(tensor.numpy())
    if not isinstance(array, np.ndarray):
        return array
    least, greatest = np.min(array), np.max(array)
    return least, greatest, np.uint8(np.round((array - least) / (greatest - least) * 255))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ["16_bit_model.pkl", "8_bit_model.pkl"])
def test_reads_the_course_s_compressed_files(
    tmp_path: Path, state: State, name: str, protocol: int
) -> None:
    compress = half if name.startswith("16") else quantized
    path = tmp_path / name
    with path.open("wb") as file:
        pickle.dump({key: compress(value) for key, value in state.items()}, file, protocol)
    checkpoint = read_checkpoint(path)
    assert checkpoint.channels == CHANNELS
    for key, tensor in checkpoint.tensors.items():
        exact = state[key].double()
        if compress is half:
            expected = exact.half().double() if exact.dim() else exact
            assert torch.equal(tensor.double(), expected), key
        else:
            step = (exact.max() - exact.min()) / 255
            assert (tensor - exact).abs().max() <= 0.5 * step + 1e-6, key


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("whole", [False, True])
def test_reads_pickled_tensors_and_networks(
    path: Path, state: State, protocol: int, whole: bool
) -> None:
    path.write_bytes(pickle.dumps(trained() if whole else state, protocol))
    assert_holds(read_checkpoint(path), state)


WHOLE: dict[str, Callable[[StudentNet], Any]] = {
    "bare": lambda net: net,
    "contained": lambda net: {"model": net, "epoch": 3},
    "parallel": nn.DataParallel,
    "averaged": lambda net: {"ema": AveragedModel(net)},
    "and its state": lambda net: {"model": net, "state_dict": net.state_dict()},
}


@pytest.mark.parametrize("wrap", WHOLE.values(), ids=WHOLE.keys())
def test_reads_whole_networks(path: Path, state: State, wrap: Callable[[StudentNet], Any]) -> None:
    torch.save(wrap(trained()), path)
    assert_holds(read_checkpoint(path), state)


def test_several_networks_are_refused_by_name(path: Path, state: State) -> None:
    other = dict(trained(seed=1).state_dict())
    torch.save({"state_dict": state, "nested": {"ema": other}}, path)
    assert_refused(path, "several networks: 'state_dict', 'nested.ema'")
    named = {"student": state, "teacher": other}
    torch.save({f"{of}.{name}": v for of, s in named.items() for name, v in s.items()}, path)
    assert_refused(path, "has besides 'student.cnn.0.0.weight'")


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


def test_a_network_that_holds_itself_is_read(path: Path, state: State) -> None:
    net = trained()
    net.fc.add_module("whole", net)
    torch.save(net, path)
    assert_holds(read_checkpoint(path), state)


def test_reading_leaves_the_random_state_alone(path: Path, state: State) -> None:
    torch.save(state, path)
    before = torch.get_rng_state()
    read_checkpoint(path)
    assert torch.equal(torch.get_rng_state(), before)
