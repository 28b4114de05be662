import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data import DataError, DataSource, ImageData, open_data
from data.splits import find_splits

WriteFolder = Callable[..., Path]
SPLITS = ("training", "validation", "testing")


def names_of(*splits: str) -> tuple[str, ...]:
    return tuple(f"{s}/{label}_{at}.png" for s in splits for label in (0, 1) for at in range(2))


def open_folder(root: Path) -> ImageData:
    return open_data(DataSource(data=str(root)))


@pytest.fixture
def usual(tmp_path: Path, write_folder: WriteFolder) -> Path:
    return write_folder(tmp_path / "usual", names_of(*SPLITS))


def renamed(root: Path, target: Path, *splits: str) -> Path:
    """The same images, in splits of other names."""
    for split, name in zip(SPLITS, splits, strict=True):
        shutil.copytree(root / split, target / name)
    return target


@pytest.mark.parametrize(
    "splits",
    [
        ("training", "validation", "evaluation"),
        ("train", "val", "test"),
        ("train", "valid", "test"),
        ("Train", "Valid", "Test"),
        ("training", "val", "eval"),
    ],
)
def test_splits_have_many_names(tmp_path: Path, usual: Path, splits: tuple[str, ...]) -> None:
    data = open_folder(renamed(usual, tmp_path / "set", *splits))
    assert data.fingerprint == open_folder(usual).fingerprint
    assert data.notes == ()


def test_a_folder_around_the_splits_is_passed_through(
    tmp_path: Path, usual: Path, write_folder: WriteFolder
) -> None:
    root = write_folder(tmp_path / "set", ("__MACOSX/food-11/0_0.png", ".git/0_0.png"))
    (root / "README.md").touch()
    renamed(usual, root / "food-11" / "data", *SPLITS)
    assert open_folder(root).fingerprint == open_folder(usual).fingerprint


@pytest.mark.parametrize("second", ["test", "evaluation", "Testing"])
def test_two_folders_for_one_split_are_refused(
    tmp_path: Path, write_folder: WriteFolder, second: str
) -> None:
    root = write_folder(tmp_path / "set", names_of(*SPLITS, second))
    with pytest.raises(DataError, match=rf"holds testing, {second}|Testing, testing") as caught:
        open_folder(root)
    assert "\n" not in str(caught.value)


def test_one_folder_may_have_two_names(tmp_path: Path, usual: Path) -> None:
    """As of whoever linked what was not known by its name."""
    root = renamed(usual, tmp_path / "set", "training", "validation", "evaluation")
    (root / "testing").symlink_to("evaluation")
    assert open_folder(root).fingerprint == open_folder(usual).fingerprint


def test_without_validation_training_images_validate(
    tmp_path: Path, write_folder: WriteFolder
) -> None:
    train = tuple(f"train/{pet}/{at:02}.png" for pet in ("cat", "dog") for at in range(7))
    tests = ("test/cat/1.png", "test/dog/1.png")
    data = open_folder(write_folder(tmp_path / "set", (*train, *tests)))
    assert data.train.labels.tolist() == [0] * 6 + [1] * 6
    assert data.validation.labels.tolist() == [0, 1]
    assert data.test.labels.tolist() == [0, 1]
    # Image n has 8 + n rows.
    assert data.validation.heights.tolist() == [8 + 5, 8 + 12]
    assert not {13, 20} & set(data.train.heights.tolist())
    (note,) = data.notes
    assert "every 6th image of train/, by name, validates and does not train" in note


@pytest.mark.parametrize("spelling", ["labeled", "labelled", "Labeled"])
@pytest.mark.parametrize("form", ["{}/{}.png", "{}_{}.png"], ids=["grouped", "flat"])
def test_the_labelled_part_of_a_training_split_is_read(
    tmp_path: Path, write_folder: WriteFolder, spelling: str, form: str
) -> None:
    names = [form.format(label, at) for label in ("00", "01") for at in (1, 2)]
    alone = write_folder(tmp_path / "a", tuple(f"{s}/{name}" for s in SPLITS for name in names))
    root = shutil.copytree(alone, tmp_path / "set")
    (root / "training").rename(root / spelling)
    write_folder(root, ("training/unlabeled/00/7.png",))
    (root / spelling).rename(root / "training" / spelling)
    data = open_folder(root)
    assert data.fingerprint == open_folder(alone).fingerprint
    assert data.notes == (f"Of training/ only {spelling}/ is read, as other images have no class",)


def test_labelled_and_unlabelled_may_be_classes(tmp_path: Path, write_folder: WriteFolder) -> None:
    """Of bottles, say: then they are so in every split."""
    names = [f"{split}/{c}/1.png" for split in SPLITS for c in ("labeled", "unlabeled")]
    data = open_folder(write_folder(tmp_path / "set", tuple(names)))
    assert data.classes == ("labeled", "unlabeled")


def test_what_has_no_layout_is_told_which_there_are(
    tmp_path: Path, write_folder: WriteFolder
) -> None:
    root = write_folder(tmp_path / "set", ("cat/1.png", "dog/1.png", "1.png"))
    with pytest.raises(DataError) as caught:
        open_folder(root)
    first, second = str(caught.value).splitlines()
    for known in ("train/", "val/", "test/", "evaluation/", "{class}_{index}.jpg", "a class"):
        assert known in first
    assert second.startswith("Found cat, dog; missing: training;")


@pytest.mark.parametrize("form", ["{}/{}_{}.png", "{}/{}/{}.png"], ids=["flat", "grouped"])
def test_without_testing_nothing_is_tested(
    tmp_path: Path, write_folder: WriteFolder, form: str
) -> None:
    names = [form.format(split, label, at) for split in ("train", "val") for label in (0, 1)
             for at in range(2)]  # fmt: skip
    root = write_folder(tmp_path / "set", tuple(names))
    for _ in ("packed", "mapped"):
        data = open_folder(root).to("cpu")
        assert (len(data.train), len(data.validation), len(data.test)) == (4, 4, 0)
        assert not data.test.labelled
        assert "4 to train, 4 to validate, 0 to test; 2 classes" in data.summary
        assert data.notes == ("There is no testing split: test_accuracy stays empty",)


def test_training_images_alone_train_and_validate(
    tmp_path: Path, write_folder: WriteFolder
) -> None:
    names = tuple(f"train/{pet}/{at}.png" for pet in ("cat", "dog") for at in range(7))
    data = open_folder(write_folder(tmp_path / "set", names))
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 2, 0)
    assert len(data.notes) == 2


def test_a_folder_linked_into_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "again").symlink_to(".")
    with pytest.raises(DataError, match="missing: training"):
        find_splits(tmp_path / "set")


def test_what_lies_beside_the_splits_is_named(usual: Path, write_folder: WriteFolder) -> None:
    write_folder(usual, ("more/0_9.png", "__MACOSX/0_9.png", ".git/0_9.png"))
    (usual / "test").symlink_to("testing")
    assert open_folder(usual).notes == ("Folders beside the splits are not read: more",)
