import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from data import DataError, DataSource, ImageData, open_data

WriteFolder = Callable[..., Path]
NAMES = tuple(
    f"{split}/{pet}/{at}.png"
    for split in ("training", "validation", "testing")
    for pet in ("cat", "dog")
    for at in range(3)
)


@pytest.fixture
def pets(tmp_path: Path, write_folder: WriteFolder) -> Path:
    return write_folder(tmp_path / "pets", NAMES)


def open_folder(root: Path, *, skip_broken: bool = True) -> ImageData:
    return open_data(DataSource(data=str(root), skip_broken=skip_broken))


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    path.unlink()
    if how == "link":
        path.symlink_to(path.name)
    elif how == "bomb":
        Image.new("1", (20_000, 10_000)).save(path)
    else:
        path.write_bytes({"empty": b"", "text": b"no image", "short": content[:-40]}[how])


@pytest.mark.parametrize("how", ["empty", "text", "short", "link", "bomb"])
def test_what_does_not_decode_is_left_out_and_named(pets: Path, tmp_path: Path, how: str) -> None:
    """The rest is what it would be without those files, its fingerprint included."""
    names = ("training/cat/1.png", "validation/dog/2.png", "testing/cat/0.png")
    without = shutil.copytree(pets, tmp_path / "without")
    for name in names:
        damage(pets / name, how)
        (without / name).unlink()
    with pytest.raises(DataError, match="or leave them out with --skip-broken"):
        open_folder(pets, skip_broken=False)
    data, rest = open_folder(pets), open_folder(without, skip_broken=False)
    assert data.fingerprint == rest.fingerprint
    assert torch.equal(data.train.pixels, rest.train.pixels)
    assert data.train.labels.tolist() == [0, 0, 1, 1, 1]
    (note,) = data.notes
    assert note.startswith("Left out 3 of 18 images, which do not decode: training/cat/1.png (")
    assert all(name in note for name in names)
    assert open_folder(pets).notes == data.notes  # packed by now
    with pytest.raises(DataError, match="3 "):
        open_folder(pets, skip_broken=False)


def test_a_whole_set_is_the_same_with_and_without_the_flag(pets: Path) -> None:
    data = open_folder(pets)
    assert data.notes == ()
    assert data.fingerprint == open_folder(pets, skip_broken=False).fingerprint


def test_a_repaired_file_is_read(pets: Path) -> None:
    path = pets / "training" / "cat" / "1.png"
    content = path.read_bytes()
    path.write_bytes(content[:-40])
    assert len(open_folder(pets).train) == 5
    path.write_bytes(content)
    assert len(open_folder(pets).train) == 6


def test_the_first_ten_are_named(tmp_path: Path, write_folder: WriteFolder) -> None:
    names = [f"training/0_{at:02}.png" for at in range(13)]
    root = write_folder(tmp_path / "set", (*names, "validation/0_0.png", "testing/0_0.png"))
    for name in names[:12]:
        (root / name).write_bytes(b"no image")
    (note,) = open_folder(root).notes
    assert "Left out 12 of 15" in note
    assert note.endswith("training/0_09.png (not an image), and 2 more")


@pytest.mark.parametrize(
    ("folder", "which"),
    [
        ("training/cat", "no train image of class cat"),
        ("validation", "no validation image"),
        ("testing", "no test image"),
    ],
)
def test_what_nothing_is_left_of_is_refused(
    pets: Path, cache: Path, folder: str, which: str
) -> None:
    for path in (pets / folder).rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match=rf"{which}: the last, {folder}/.*\(not an image\)"):
        open_folder(pets)
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_one_class_may_be_missing_where_it_is_not_trained(pets: Path) -> None:
    for path in (pets / "validation" / "cat").iterdir():
        path.write_bytes(b"no image")
    assert open_folder(pets).validation.labels.tolist() == [1, 1, 1]
