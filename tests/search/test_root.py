"""What a root is, by the weights that it is given."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn
from torchvision import models

from data import DataSource, ImageData, open_data
from models import IMAGENET, NamedNetwork, StudentNet
from pruning import Origin, Recipe, RoundRunner
from search.configuration import SearchConfig
from search.errors import RefusedError
from search.kept import from_record, to_record
from search.results.folder import ResultsFolder
from search.root import Root, architecture_of, find_root, origin_of

NET = """
from torch import nn

def net(num_classes):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, num_classes),
    )
"""
OWN = "nets.py:net"

Find = Callable[..., Root]


@pytest.fixture
def digits(packs: Path, monkeypatch: pytest.MonkeyPatch) -> ImageData:
    monkeypatch.setenv("XDG_CACHE_HOME", str(packs))
    return open_data(DataSource(data="digits", image_size=16))


@pytest.fixture
def find(tmp_path: Path, digits: ImageData, monkeypatch: pytest.MonkeyPatch) -> Find:
    """Finds a root in a folder with networks and checkpoints for three and for ten classes."""
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    Path("nets.py").write_text(NET)
    for classes in (3, 10):
        torch.manual_seed(classes)
        net = NamedNetwork.found(OWN, classes).build()
        torch.save(net.state_dict(), f"nets{classes}.pt")
        torch.save(StudentNet(base=8, num_classes=classes).state_dict(), f"student{classes}.pt")

    def find(**settings: Any) -> Root:
        config = SearchConfig(image_size=16, **settings)
        return find_root(config, ResultsFolder(Path("out")), digits)

    return find


@pytest.mark.parametrize(("model", "file"), [("student", "student"), (OWN, "nets")])
def test_a_head_for_other_classes_is_replaced_and_the_root_trained(
    find: Find, model: str, file: str
) -> None:
    root = find(model=model, checkpoint=Path(f"{file}3.pt"))
    assert root.trains_on
    assert not root.taken_whole
    assert root.tensors is not None
    whole = root.architecture.build(root.architecture.channels).state_dict()
    head = whole.keys() - root.tensors.keys()
    assert [whole[name].shape[0] for name in sorted(head)] == [10, 10]
    (note,) = root.notes(SearchConfig())
    assert "tells 3 classes apart" in note
    assert "trained for 60 epochs" in note

    left = find(model=model, checkpoint=Path(f"{file}3.pt"), root_epochs=0)
    assert not left.trains_on
    (note,) = left.notes(SearchConfig(root_epochs=0))
    assert "not trained" in note
    assert left.made_of != root.made_of


@pytest.mark.parametrize(("model", "file"), [("student", "student"), (OWN, "nets")])
def test_a_root_that_fits_is_taken_whole_and_made_of_what_it_always_was(
    find: Find, model: str, file: str
) -> None:
    root = find(model=model, checkpoint=Path(f"{file}10.pt"), prune="all")
    assert root.taken_whole
    assert not root.trains_on
    assert list(root.notes(SearchConfig())) == []
    own = {"prune"} if model == "student" else {"network", "round_to"}
    assert root.made_of.keys() == {"channels", "num_classes", "checkpoint"} | own


def test_root_epochs_train_a_root_on(find: Find) -> None:
    root = find(model=OWN, checkpoint=Path("nets10.pt"), root_epochs=2)
    assert root.trains_on
    (note,) = root.notes(SearchConfig(root_epochs=2))
    assert note.endswith("trained for 2 epochs.")


def test_searches_from_before_that_go_on_with_the_root_that_they_took(
    find: Find, tmp_path: Path, digits: ImageData
) -> None:
    """They kept a number of root epochs, which meant nothing beside a checkpoint."""
    before = find(model=OWN, checkpoint=Path("nets10.pt"))
    ResultsFolder(Path("out")).write({"config": {}, "root": dict(before.made_of)})
    record = to_record(SearchConfig(image_size=16, checkpoint=Path("nets10.pt"), model=OWN))
    record |= {"root_epochs": 60}
    del record["weights"], record["normalize"]
    again = find(**{**_settings(record), "resume": Path("out")})
    assert again.made_of == before.made_of
    assert not again.trains_on

    Path("nets10.pt").unlink()
    gone = find(**{**_settings(record), "resume": Path("out")})
    assert gone.made_of == before.made_of
    assert gone.missing == "nets10.pt is gone, and is still needed: put it back."


def _settings(record: dict[str, Any]) -> dict[str, Any]:
    kept = from_record(record)
    names = ("model", "checkpoint", "root_epochs", "weights", "normalize")
    return {name: getattr(kept, name) for name in names}


@pytest.mark.parametrize("model", ["student", OWN])
def test_a_normalisation_is_part_of_the_network(find: Find, model: str) -> None:
    plain, normal = find(model=model), find(model=model, normalize="imagenet")
    assert normal.made_of == {**plain.made_of, "normalize": list(IMAGENET.numbers)}
    config = SearchConfig(image_size=16, model=model, normalize="imagenet")
    images = torch.rand(2, 3, 16, 16)
    mean, std = (torch.tensor(of).view(3, 1, 1) for of in (IMAGENET.mean, IMAGENET.std))
    for architecture in (normal.architecture, architecture_of(config, normal.made_of)):
        for channels in (architecture.channels, architecture.channels_at(0.5)):
            net = architecture.build(channels).eval()
            bare = plain.architecture.build(channels).eval()
            bare.load_state_dict(net.state_dict())
            assert torch.allclose(net(images), bare((images - mean) / std), atol=1e-5)
    own = find(model=model, normalize=(0.5, 0.5, 0.5, 0.25, 0.25, 0.25))
    assert own.made_of["normalize"] == [0.5, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_a_search_of_before_goes_on_as_it_was_trained() -> None:
    """As they were kept before images could be left as they are and roots had another rate."""
    record = to_record(SearchConfig())
    del record["unaugmented"]
    kept = {
        "version": 5,
        "batch_size": 32,
        "weight_decay": 0.01,
        "importance": "gamma",
        "decay": True,
        "warm_up": 0.1,
        "recalibrate": True,
        "root_epochs": 60,
        "root_lr": 0.004,
    }

    def recipe(config: SearchConfig, kept: dict[str, Any] | None) -> Recipe:
        origin = origin_of(
            config,
            {"checkpoint": None},
            data_fingerprint="beef",
            device_type="cpu",
            precision="fp32",
            kept=kept,
        )
        return origin.recipe

    assert recipe(from_record(record), kept).to_json() == kept
    assert recipe(SearchConfig(), kept | {"root_lr": "fast"}).root_lr == 0.015
    assert recipe(SearchConfig(), kept | {"importance": "size"}).importance == "response"
    assert recipe(SearchConfig(), kept | {"least_unaugmented": "few"}).least_unaugmented == 5
    quarter = recipe(SearchConfig(unaugmented=0.25), None)
    assert (quarter.unaugmented, quarter.least_unaugmented) == (0.25, 0)


def test_short_trainings_leave_more_of_their_images_as_they_are() -> None:
    """Half of the epochs, and the last five at least; a share that was asked for holds for all."""
    usual = Recipe.named("measured", batch_size=32, root_epochs=60)
    assert [usual.unaugmented_of(epochs) for epochs in (0, 1, 5, 7, 10, 20)] == [0, 1, 5, 5, 5, 10]
    asked = Recipe.named("measured", batch_size=32, root_epochs=60, unaugmented=0.4)
    assert [asked.unaugmented_of(epochs) for epochs in (0, 1, 5, 7, 10, 20)] == [0, 0, 2, 2, 4, 8]


def test_a_student_is_trained_and_ranked_in_its_own_way() -> None:
    common: dict[str, Any] = {"batch_size": 32, "root_epochs": 60}
    assert Recipe.named("measured", **common) == Recipe()
    student = Recipe(root_lr=0.015, importance="response")
    assert Recipe.named("measured", student=True, **common) == student
    assert Recipe.named("measured", student=True, trains_on=True, **common).root_lr == 1e-3
    notebook = Recipe.named("notebook", student=True, **common)
    assert (notebook.root_lr, notebook.unaugmented_of(5)) == (4e-3, 0)


def test_a_root_is_trained_on_from_its_weights_and_a_head_of_its_id(
    find: Find, digits: ImageData
) -> None:
    root = find(model=OWN, checkpoint=Path("nets3.pt"))
    assert root.tensors is not None
    recipe = Recipe.named("measured", batch_size=32, root_epochs=1, trains_on=True)
    origin = Origin(
        recipe=recipe,
        seed=0,
        data_fingerprint=digits.fingerprint,
        root=root.made_of,
        device_type="cpu",
    )

    def trained(epochs_on: bool) -> tuple[bytes, nn.Module]:
        runner = RoundRunner(
            architecture=root.architecture,
            data=digits,
            origin=origin,
            device=torch.device("cpu"),
            checkpoint=root.tensors,
            trains_on=epochs_on,
        )
        _, weights = runner.root()
        net = root.architecture.build(root.architecture.channels)
        net.load_state_dict(safetensors.torch.load(weights))
        return weights, net

    left, net = trained(False)
    assert left == trained(False)[0]
    assert all(torch.equal(net.state_dict()[name], one) for name, one in root.tensors.items())
    on, moved = trained(True)
    assert on == trained(True)[0] != left
    change = (moved.get_parameter("0.weight") - net.get_parameter("0.weight")).abs().max()
    assert 0 < change < 0.1


def test_published_weights_are_taken_with_their_normalisation(
    find: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    published = {"model": "torchvision:mnasnet0_5", "weights": "default"}
    with pytest.raises(RefusedError, match="cannot be had") as error:
        find(**published)
    assert len(str(error.value).splitlines()) == 2

    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / Path(models.get_model_weights("mnasnet0_5").DEFAULT.url).name
    state = models.get_model("mnasnet0_5").state_dict()
    torch.save(state, file)
    root = find(**published)
    assert root.given is not None
    assert root.given.name == "IMAGENET1K_V1"
    assert root.trains_on
    assert root.made_of["normalize"] == list(IMAGENET.numbers)
    assert torch.equal(root.given.tensors["layers.0.weight"], state["layers.0.weight"])
    first, second = root.notes(SearchConfig(**published))
    assert "0.485" in first
    assert "1,000 classes" in second
    assert "normalize" not in find(**published, normalize="none").made_of

    file.unlink()  # a search that has its root needs it no more
    ResultsFolder(Path("out")).write({"config": {}, "root": dict(root.made_of)})
    again = find(**published, resume=Path("out"), normalize=IMAGENET.numbers)
    assert again.made_of == root.made_of
    assert again.missing is not None


def test_settings_are_kept_as_they_turned_out() -> None:
    config = SearchConfig(model="torchvision:resnet18", weights="default")
    kept = config.resolved(image_size=32, weights="IMAGENET1K_V1", normalize=IMAGENET.numbers)
    assert (kept.weights, kept.normalize) == ("IMAGENET1K_V1", IMAGENET.numbers)
    assert from_record(to_record(kept)) == kept
    assert (
        SearchConfig(normalize="none")
        .resolved(image_size=32, normalize=IMAGENET.numbers)
        .normalize
        == "none"
    )
