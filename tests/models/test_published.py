"""Published weights, laid into the libraries' caches: tests download nothing."""

from pathlib import Path

import pytest
import torch
from torchvision import models

from models import IMAGENET, MissingWeightsError, NamedNetwork, NetworkError, published

FILE = "squeezenet1_1-b8a52dc0.pth"


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torchvision keeps what it has downloaded; there is no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # discards whatever it is sent, if anything
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def squeezenet() -> NamedNetwork:
    return NamedNetwork.found("torchvision:squeezenet1_1", 10)


@pytest.mark.parametrize("name", ["default", "IMAGENET1K_V1"])
def test_torchvision_s_weights_come_with_their_normalisation(checkpoints: Path, name: str) -> None:
    state = models.get_model("squeezenet1_1").state_dict()
    torch.save(state, checkpoints / FILE)
    before = torch.get_rng_state()
    found = published(squeezenet(), name)
    assert torch.equal(torch.get_rng_state(), before)
    assert found.name == "IMAGENET1K_V1"
    assert found.normalization == IMAGENET
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.tensors.items())


def test_a_network_that_undoes_a_normalisation_has_the_one_that_is_left(checkpoints: Path) -> None:
    net = models.googlenet(init_weights=False, aux_logits=True)
    torch.save(net.state_dict(), checkpoints / "googlenet-1378be20.pth")
    found = published(NamedNetwork.found("torchvision:googlenet", 10), "default")
    assert found.normalization.numbers == (0.5,) * 6


def test_without_a_network_the_way_out_is_named(checkpoints: Path) -> None:
    with pytest.raises(MissingWeightsError) as error:
        published(squeezenet(), "default")
    first, second = str(error.value).splitlines()
    assert first.startswith("the weights IMAGENET1K_V1 of squeezenet1_1 cannot be had: URLError")
    assert FILE in second
    assert str(checkpoints) in second
    assert "--checkpoint" in second


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("sprung"),)  # type: ignore[return-value]


def test_code_in_a_file_is_not_run(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkpoints)
    torch.save({"features.0.weight": Trap()}, checkpoints / FILE)
    with pytest.raises(MissingWeightsError, match="cannot be had"):
        published(squeezenet(), "default")
    assert not Path("sprung").exists()


def test_unknown_weights_are_refused_with_those_that_there_are(checkpoints: Path) -> None:
    with pytest.raises(
        NetworkError, match=r"no weights V9 of squeezenet1_1; it has IMAGENET1K_V1"
    ):
        published(squeezenet(), "V9")


def test_timm_s_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm")
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    network = NamedNetwork.found("timm:resnet18", 10)
    with pytest.raises(NetworkError, match=r"no weights x of resnet18; it has a1_in1k, "):
        published(network, "x")
    with pytest.raises(MissingWeightsError, match="--checkpoint") as error:
        published(network, "default")
    assert len(str(error.value).splitlines()) == 2

    snapshot = tmp_path / "models--timm--resnet18.a1_in1k" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("1")
    state = timm.create_model("resnet18").state_dict()
    torch.save(state, snapshot / "pytorch_model.bin")
    found = published(network, "default")
    assert (found.name, found.normalization) == ("a1_in1k", IMAGENET)
    assert torch.equal(found.tensors["fc.weight"], state["fc.weight"])
