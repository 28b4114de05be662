"""Any network's pruning, held against wide networks with silenced channels and counted tensors."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from data import ImageData
from models import StudentNet
from pruning import (
    Allocation,
    Factory,
    GraphArchitecture,
    Origin,
    Recipe,
    Round,
    RoundRunner,
    StageStore,
    Start,
    StudentArchitecture,
    allocate,
    slim,
)
from pruning.groups import channel_counts, load_tensors, places_of
from pruning.importance import channel_scores, keep_channels
from pruning.layers import BATCH_NORMS
from tests.pruning.factories import (
    Called,
    Handmade,
    LooksAtImages,
    LooksAtWeights,
    Split,
    Torchvision,
    student,
)
from tests.pruning.oddities import (
    InSingle,
    Reused,
    frozen_backbone,
    group_norm_of_fours,
    group_norm_of_pairs,
    synchronised,
)

SLOW = (
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "resnet50",
    "resnext50_32x4d",
    "vgg11_bn",
    "vit_b_16",
)
FAST = ("mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnet18")
TORCHVISION = (*FAST, "squeezenet1_1")
FACTORIES = [
    pytest.param(Called(Handmade), id="handmade"),
    *(
        pytest.param(Called(one), id=one.__name__)
        for one in (Reused, synchronised, group_norm_of_pairs, frozen_backbone)
    ),
    *(pytest.param(Torchvision(name), id=name) for name in TORCHVISION),
    *(pytest.param(Torchvision(name), id=name, marks=pytest.mark.slow) for name in SLOW),
]


def size_of(factory: Factory) -> int:
    name = getattr(factory, "name", "")
    return {"inception_v3": 75, "vit_b_16": 224}.get(name, 32)


@cache
def architecture_of(factory: Factory) -> GraphArchitecture:
    return GraphArchitecture.of(factory, image_size=size_of(factory))


def random_net(factory: Factory, seed: int) -> nn.Module:
    """A net without zero weights, with γ of both signs and statistics near those of a batch."""
    torch.manual_seed(seed)
    net = factory.build()
    for module in net.modules():
        if isinstance(module, BATCH_NORMS):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            module.momentum = 1.0
    for parameter in net.parameters():
        if parameter.dim() > 1 and not parameter.any():
            nn.init.normal_(parameter)
    with torch.no_grad():
        net.train()(images_of(factory, torch.float32))
    for name, tensor in net.state_dict().items():
        if "running" in name:
            tensor.mul_(torch.rand(tensor.shape) + 0.5)
    return net.eval()


def images_of(factory: Factory, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    size = size_of(factory)
    return torch.rand(3, 3, size, size, generator=generator, dtype=torch.float64).to(dtype)


def silenced(net: nn.Module, architecture: GraphArchitecture, channels: tuple[int, ...]) -> None:
    """Zeros in the weights of convolutions and linear layers that read a dropped channel."""
    groups, state = architecture.groups(), net.state_dict()
    scores = channel_scores(net, groups, "gamma")
    counts = channel_counts(state, groups)
    transposed = {
        f"{name}.weight"
        for name, module in net.named_modules()
        if isinstance(module, nn.ConvTranspose2d)
    }
    for group, kept in zip(groups, keep_channels(scores, channels), strict=True):
        dropped = sorted(set(range(counts[group.block])) - set(kept.tolist()))
        for (name, axis), places in places_of(group, counts).items():
            if state[name].dim() > 1 and axis == (0 if name in transposed else 1):
                at = torch.tensor(dropped, dtype=torch.int64)
                state[name].index_fill_(axis, at if places is None else places[at].flatten(), 0)


@torch.no_grad()
@pytest.mark.parametrize("allocation", ["uniform", "global"])
@pytest.mark.parametrize("factory", FACTORIES)
def test_two_rounds_equal_the_wide_net_with_silenced_channels(
    factory: Factory, allocation: Allocation
) -> None:
    """A gentle round, then a harsh one. It holds up to rounding, and not in ConvNeXt, whose norms
    are taken over channels that are cut: there only shapes are compared.
    """
    architecture = architecture_of(factory)
    net, channels, schedule = random_net(factory, 1), architecture.channels, ()
    for rate in (0.8, 0.2):
        schedule += (Round(rate=rate, epochs=1, lr=1e-3, allocation=allocation),)
        left = allocate(net, architecture, channels, schedule)
        slimmed = slim(net, architecture, left).double()
        assert sum(left) < sum(channels)
        assert channel_counts(slimmed.state_dict(), architecture.groups()) == dict(enumerate(left))
        assert sum(p.numel() for p in slimmed.parameters()) == architecture.params(left)

        images = images_of(factory)
        silenced(net, architecture, left)
        expected, got = net.double()(images), slimmed(images)
        assert got.shape == (3, 10)
        if not (isinstance(factory, Torchvision) and factory.name == "convnext_tiny"):
            assert (got - expected).abs().max() < 1e-8 * expected.std(0).max()
        net, channels = slimmed.float(), left


@pytest.mark.parametrize("factory", FACTORIES)
def test_narrow_networks_are_built_from_counts_alone(factory: Factory) -> None:
    architecture = architecture_of(factory)
    narrow = architecture.channels_at(0.3)
    torch.manual_seed(1)
    net = architecture.build(narrow).eval()
    torch.manual_seed(1)
    again = architecture.build(narrow).eval()
    images = images_of(factory, torch.float32)
    assert torch.equal(net(images), again(images))
    assert net(images).isfinite().all()

    torch.manual_seed(2)
    other = architecture.build(narrow).eval()
    assert not torch.equal(net(images), other(images))
    load_tensors(other, safetensors.torch.load(safetensors.torch.save(dict(net.state_dict()))))
    assert torch.equal(net(images), other(images))

    assert all(not parameter.is_meta for parameter in net.parameters())
    assert architecture.macs(narrow, size_of(factory)) < architecture.macs(
        architecture.channels, size_of(factory)
    )
    for width in (0, 0.01, 0.5, 0.99, 1):
        channels = architecture.channels_at(width)
        counted = sum(p.numel() for p in architecture.build(channels).parameters())
        assert counted == architecture.params(channels)
    assert architecture.channels_at(0) == (1,) * len(architecture.channels)
    assert architecture.channels_at(1) == architecture.channels


def test_another_process_builds_the_same_network(tmp_path: Path) -> None:
    architecture = architecture_of(Called(Handmade))
    net = architecture.build(architecture.channels_at(0.5)).eval()
    images = images_of(architecture.factory, torch.float32)
    (tmp_path / "architecture").write_bytes(pickle.dumps(architecture))
    tensors = dict(net.state_dict()) | {"images": images, "logits": net(images)}
    safetensors.torch.save_file(tensors, tmp_path / "tensors")
    program = """
import pickle, sys, torch, safetensors.torch
torch.set_num_threads(1)
architecture = pickle.load(open(sys.argv[1] + "/architecture", "rb"))
tensors = safetensors.torch.load_file(sys.argv[1] + "/tensors")
images, logits = tensors.pop("images"), tensors.pop("logits")
net = architecture.build(architecture.channels_at(0.5)).eval()
net.load_state_dict(tensors)
assert torch.equal(net(images), logits)
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)


def student_by_both() -> tuple[GraphArchitecture, StudentArchitecture]:
    channels = student().channels
    closed = StudentArchitecture(channels=channels, num_classes=10, prune="all")
    return architecture_of(Called(student)), closed


def test_groups_of_student_net_are_those_of_the_closed_form() -> None:
    traced, closed = student_by_both()
    assert traced.channels == closed.channels
    for found, stated in zip(traced.groups(), closed.groups(), strict=True):
        assert (found.block, found.norms[-1:]) == (stated.block, stated.norms)
        assert set(found.ties) == set(stated.ties)
        assert found.shared == ()


def test_costs_of_student_net_are_those_of_the_closed_form() -> None:
    traced, closed = student_by_both()
    for width in (1, 0.7, 0.1, 0):
        channels = closed.channels_at(width)
        assert traced.params(channels) == closed.params(channels)
        assert traced.macs(channels, 32) == closed.macs(channels, 32)


def test_counts_are_rounded_to_multiples() -> None:
    """Of 6, 10, 12, 24, … channels, as many as the root has and never less than one multiple."""
    architecture = GraphArchitecture.of(Called(Handmade), image_size=32, round_to=4)
    wide = architecture.channels
    for width in (0.0, 0.3, 0.5, 0.9):
        for count, left in zip(wide, architecture.channels_at(width), strict=True):
            assert left == min(count, max(4, int(count * width) // 4 * 4))
    assert architecture.channels_at(1) == wide


def test_a_group_is_scored_by_the_mean_of_its_norms() -> None:
    """The last stage of a residual network: sums of branches, each with a norm of its own."""
    factory = Torchvision("resnet18")
    net, groups = random_net(factory, 0), architecture_of(factory).groups()
    (group,) = [group for group in groups if ("fc.weight", 1) in group.ties]
    assert set(group.norms) == {"layer4.0.bn2", "layer4.0.downsample.1", "layer4.1.bn2"}
    gammas = [net.get_submodule(name).weight.detach().abs() for name in group.norms]
    score = channel_scores(net, groups, "gamma")[group.block]
    torch.testing.assert_close(score, sum(gammas) / 3)


def test_a_channel_of_several_places_is_scored_by_their_mean() -> None:
    """Between a convolution in 2 groups and one in 8: places c, c + 12, and three neighbours."""
    handmade = architecture_of(Called(Handmade))
    net = random_net(Called(Handmade), 0)
    (group,) = [one for one in handmade.groups() if "grouped.1.1" in one.norms]
    gammas = [net.get_submodule(name).weight.detach().abs() for name in group.norms]
    score = channel_scores(net, handmade.groups(), "gamma")[group.block]
    of_channels = [gamma.view(2, 4, 3).mean((0, 2)) for gamma in gammas]
    torch.testing.assert_close(score, sum(of_channels) / len(of_channels))


def test_channels_that_are_split_by_number_stay() -> None:
    architecture = architecture_of(Called(Split))
    assert architecture.channels == (6,)
    assert architecture.build([1]).get_submodule("first.0").out_channels == 8


def test_the_classifiers_outputs_stay() -> None:
    """SqueezeNet's last layer is a convolution."""
    architecture = architecture_of(Torchvision("squeezenet1_1"))
    assert architecture.num_classes == 10
    last = architecture.build(architecture.channels_at(0)).get_submodule("classifier.1")
    assert last.weight.shape[:2] == (10, 2)  # reads one channel of each of two branches


@pytest.mark.parametrize("function", [LooksAtWeights, LooksAtImages])
def test_networks_that_need_values_are_built_with_them(function: Callable[[], nn.Module]) -> None:
    architecture = architecture_of(Called(function))
    assert architecture.channels == (8,)
    assert architecture.macs([2], 32) == 32**2 * 2 * 27 + 20
    torch.manual_seed(0)
    assert architecture.build([2])(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_groups_of_a_norm_lose_channels_alike() -> None:
    architecture = architecture_of(Called(group_norm_of_fours))
    assert architecture.channels == (4,)
    norm = architecture.build([1]).get_submodule("1")
    assert (norm.num_groups, norm.num_channels) == (2, 2)


def test_a_network_that_asks_for_single_precision_is_tried_out_in_it() -> None:
    assert architecture_of(Called(InSingle)).channels == (8,)


def test_frozen_parameters_count_and_stay_frozen() -> None:
    """As large in use as others."""
    architecture = architecture_of(Called(frozen_backbone))
    net = architecture.build(architecture.channels_at(0.5))
    frozen = {name for name, one in net.named_parameters() if not one.requires_grad}
    assert frozen == {name for name, _ in net.named_parameters() if not name.startswith("4")}
    assert architecture.params((4, 6)) == sum(one.numel() for one in net.parameters())


@pytest.mark.parametrize(("start", "allocation"), [("inherit", "global"), ("fresh", "uniform")])
def test_rounds_are_run_as_those_of_a_student_net(
    digits: ImageData, folder: Path, start: Start, allocation: Allocation
) -> None:
    architecture = GraphArchitecture.of(Called(Handmade), image_size=digits.image_size)
    origin = Origin(
        recipe=Recipe(root_epochs=1),
        seed=0,
        data_fingerprint=digits.fingerprint,
        root={"model": "handmade"},
        device_type="cpu",
    )
    runner = RoundRunner(
        architecture=architecture, data=digits, origin=origin, device=torch.device("cpu")
    )
    draft, weights = runner.root()
    root = StageStore(folder).commit(draft, weights, trial=0)
    round_ = Round(rate=0.6, epochs=1, lr=1e-3, allocation=allocation, start=start)
    child, content = runner.child(root, weights, round_)
    assert runner.child(root, weights, round_)[1] == content
    tensors = safetensors.torch.load(content)
    names = dict(architecture.build(child.channels).named_parameters())
    assert child.params == sum(tensors[name].numel() for name in names) < root.params


def test_random_numbers_of_the_caller_are_left_as_they_are() -> None:
    before = torch.get_rng_state()
    GraphArchitecture.of(Called(StudentNet), image_size=16)
    assert torch.equal(torch.get_rng_state(), before)
