import pickle
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from models import NamedNetwork, NetworkError

FILE = """
from pathlib import Path
from torch import nn
import beside

assert Path(__file__).is_absolute()

def small(num_classes):
    return nn.Sequential(nn.Conv2d(3, beside.WIDTH, 3), nn.Flatten(), nn.LazyLinear(num_classes))

def two_wanted(num_classes, depth):
    return small(num_classes)

def failing(num_classes):
    raise RuntimeError("no weights\\nat all")

def number(num_classes):
    return num_classes

constant = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("WIDTH = 5")
    path = tmp_path / "nets.py"
    path.write_text(FILE)
    return path


def test_torchvision_s_networks_have_the_outputs_that_are_asked_for() -> None:
    for name in ("resnet18", "mobilenet_v3_small", "squeezenet1_1"):
        net = NamedNetwork.found(f"torchvision:{name}", 7).build().eval()
        assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_outputs_for_training_alone_are_left_out() -> None:
    net = NamedNetwork.found("torchvision:googlenet", 7).build().train()
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_a_file_s_factory_may_import_what_lies_beside_it(file: Path) -> None:
    net = NamedNetwork.found(f"{file}:small", 7).build()
    assert net(torch.zeros(2, 3, 8, 8)).shape == (2, 7)


def test_a_file_travels_with_its_name(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(FILE.replace("beside.WIDTH", "4").replace("import beside", ""))
    network = NamedNetwork.found(f"{file}:small", 7)
    file.unlink()
    arrived = pickle.loads(pickle.dumps(network))
    assert arrived == network
    assert isinstance(arrived.build(), nn.Module)


def test_a_package_s_factory_is_called_with_the_classes() -> None:
    net = NamedNetwork.found("torchvision.models:resnet18", 7).build()
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_a_file_is_told_by_its_content_not_by_its_place(file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.py"
    elsewhere.write_text(FILE)
    one, other = (NamedNetwork.found(f"{path}:small", 7) for path in (file, elsewhere))
    assert one.made_of == other.made_of
    elsewhere.write_text(FILE + "\n")
    assert NamedNetwork.found(f"{elsewhere}:small", 7).made_of != one.made_of


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet18", "names no network"),
        ("torchvision:", "names no network"),
        ("torchvision:resnet17", "it has resnet18"),
        ("torchvision:ResNet18", r"it has resnet18\.$"),
        ("torchvision:efficientnet_b10", "it has efficientnet_b1"),
        ("torchvision:RegNet", "it has regnet_x_16gf, .*, regnet_x_400mf.$"),
        ("torchvision:../x", "has no network"),
        ("nowhere.py:small", "cannot be read"),
        ("no_such_package.nets:small", "cannot be imported"),
        ("torch:zeros", "made no network"),
        ("torch:pi", "no factory"),
        ("FILE:nothing", "no factory"),
        ("FILE:constant", "no factory"),
        ("FILE:two_wanted", "TypeError"),
        ("FILE:failing", "RuntimeError: no weights"),
        ("FILE:number", "made a int"),
    ],
)
def test_what_makes_no_network_is_said_in_a_line(file: Path, name: str, message: str) -> None:
    with pytest.raises(NetworkError, match=message) as error:
        NamedNetwork.found(name.replace("FILE", str(file)), 7).build()
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("content", ["import sys; sys.exit(3)", "1 / 0", "def small(:", "\0"])
def test_a_file_that_cannot_be_run_is_said_in_a_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(content)
    modules = set(sys.modules)
    for _ in range(2):
        with pytest.raises(NetworkError, match="cannot be imported"):
            NamedNetwork.found(f"{path}:small", 7).build()
    assert not any(name.startswith("_network_") for name in set(sys.modules) - modules)
