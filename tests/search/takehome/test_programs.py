import sys
from pathlib import Path
from typing import NamedTuple

import onnx
import pytest
import torch
import torchvision
from torch import Tensor, nn

from models import StudentNet
from search.errors import RefusedError
from search.takehome.programs import (
    check_onnx,
    exported,
    int8_file,
    of_onnx,
    of_pt2,
    onnx_file,
    pt2_file,
)
from tests.pruning.factories import Handmade

SIZE = 32


def student() -> nn.Module:
    return StudentNet(channels=(4, 8, 9, 10, 11, 12, 13, 14), num_classes=10)


def resnet() -> nn.Module:
    net: nn.Module = torchvision.models.resnet18(num_classes=10)
    return net


def settled(net: nn.Module) -> nn.Module:
    """In evaluation mode, its batch norms having seen images."""
    torch.manual_seed(0)
    net.train()(torch.rand(64, 3, SIZE, SIZE))
    return net.eval()


class Files(NamedTuple):
    """A network, and what was made of it."""

    net: nn.Module
    pt2: bytes
    onnx: bytes


@pytest.fixture(scope="module", params=[student, resnet])
def made(request: pytest.FixtureRequest) -> Files:
    """Made once of each network, since that takes seconds."""
    net = settled(request.param())
    program = exported(net, SIZE)
    return Files(net=net, pt2=pt2_file(program), onnx=onnx_file(program))


def test_programs_compute_what_the_network_does_for_any_batch(made: Files) -> None:
    runners = {"pt2": of_pt2(made.pt2), "onnx": of_onnx(made.onnx)}
    for count in (1, 2, 7):
        images = torch.rand(count, 3, SIZE, SIZE)
        with torch.no_grad():
            expected = made.net(images)
        for name, run in runners.items():
            torch.testing.assert_close(run(images), expected, rtol=1e-4, atol=1e-4, msg=name)


def test_files_name_no_place_on_this_machine_and_are_small(made: Files) -> None:
    here = str(Path(__file__).parents[3]).encode()
    libraries = str(Path(torch.__file__).parents[1]).encode()
    for content in (made.pt2, made.onnx):
        assert here not in content
        assert libraries not in content
    weights = sum(tensor.nbytes for tensor in made.net.state_dict().values())
    assert len(made.onnx) < weights + 16_000


@pytest.mark.parametrize("made", [student], indirect=True)
def test_the_onnx_file_is_whole_and_has_plain_convolutions(made: Files) -> None:
    model = onnx.load_from_string(made.onnx)
    onnx.checker.check_model(model, full_check=True)
    (given,), (gives,) = model.graph.input, model.graph.output
    assert (given.name, gives.name) == ("images", "logits")
    sides = [side.dim_param or side.dim_value for side in given.type.tensor_type.shape.dim]
    assert sides == ["batch", 3, SIZE, SIZE]
    operations = {node.op_type for node in model.graph.node}
    assert operations <= {"Conv", "Clip", "MaxPool", "ReduceMean", "Reshape", "Gemm"}


def test_eight_bits_are_a_quarter_and_nearly_the_same() -> None:
    net = settled(StudentNet(num_classes=10))
    wide = onnx_file(exported(net, SIZE))
    images = torch.rand(64, 3, SIZE, SIZE)
    narrow = int8_file(wide, images.split(16))
    assert len(narrow) < 0.35 * len(wide)
    expected, found = of_onnx(wide)(images), of_onnx(narrow)(images)
    assert 0 < (found - expected).abs().max() < 0.2 * expected.abs().max()


class Deciding(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)) if images.sum() > 0 else images.amax((2, 3))


def test_what_cannot_be_followed_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"torch\.export cannot follow this network"):
        exported(Deciding().eval(), SIZE)


def test_what_onnx_lacks_is_named() -> None:
    program = exported(settled(Handmade()), SIZE)
    assert of_pt2(pt2_file(program))(torch.rand(3, 3, SIZE, SIZE)).shape == (3, 10)
    with pytest.raises(RefusedError, match=r"adaptive_max_pool2d.*\n.*--no-onnx"):
        onnx_file(program)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_with_the_way_out(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_onnx()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RefusedError, match=f"package {package}, .*\npip install .*--no-onnx"):
        check_onnx()
