import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from data import DataError, DataSource, ImageData, open_data
from data.listing import Listing, ignored, list_split

WriteFolder = Callable[..., Path]
GROUPED = (
    *("training/cat/1.png", "training/cat/2.png", "training/dog/1.png"),
    *("validation/cat/1.png", "validation/dog/1.png", "testing/cat/1.png", "testing/dog/1.png"),
)


@pytest.fixture
def pets(tmp_path: Path, write_folder: WriteFolder) -> Path:
    return write_folder(tmp_path / "pets", GROUPED)


def open_folder(root: Path) -> ImageData:
    return open_data(DataSource(data=str(root)))


def test_files_in_folders_below_a_class_belong_to_it(
    pets: Path, write_folder: WriteFolder
) -> None:
    write_folder(pets, ("training/cat/batch 2/1.png", "training/cat/batch 2/a/b/7.png"))
    assert list_split(pets, "training") == Listing(
        folder="training",
        direct=(),
        grouped={
            "cat": ("1.png", "2.png", "batch 2/1.png", "batch 2/a/b/7.png"),
            "dog": ("1.png",),
        },
    )
    assert open_folder(pets).train.labels.tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    "name",
    [
        *("3.bmp", "3.tif", "3.TIFF", "3.jfif", "3.jpe", "3.gif", "3.webp", "3.avif", "3.jp2"),
        *("3.ppm", "3.apng", "3.dib"),
    ],
)
def test_photos_come_in_many_formats(pets: Path, name: str) -> None:
    path = pets / "training" / "dog" / name
    formats = {".jpe": "JPEG", ".apng": "PNG", ".dib": "DIB"}
    grey = Image.new("RGB", (30, 20), (90, 90, 90))
    grey.save(path, format=formats.get(path.suffix))
    data = open_folder(pets)
    assert data.train.labels.tolist() == [0, 0, 1, 1]
    assert int(data.train.heights[-1]) == 20
    assert int(data.train.pixels[-1, 0]) == pytest.approx(90, abs=2)
    assert data.notes == ()


def test_what_is_ignored_is_counted_by_suffix(pets: Path) -> None:
    for name in ("cat/a.txt", "cat/below/b.TXT", "dog/c.csv", "dog/README", "labels.txt"):
        path = pets / "training" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("no image")
    (pets / "README.md").touch()
    (note,) = open_folder(pets).notes
    assert note == (
        "Ignored files, by suffix: 3 .txt, 1 .csv, 1 without one"
        " (such as training/labels.txt, training/cat/a.txt, training/cat/below/b.TXT, and 2 more)"
    )


def test_what_systems_leave_behind_is_ignored_in_silence(pets: Path) -> None:
    (pets / "training" / "__MACOSX").mkdir()
    (pets / "training" / ".ipynb_checkpoints").mkdir()
    for name in (
        *("__MACOSX/1.png", ".ipynb_checkpoints/1.png", "cat/._1.png", "cat/.DS_Store"),
        *("dog/Thumbs.db", "dog/desktop.ini", ".DS_Store"),
    ):
        (pets / "training" / name).write_bytes(b"no image")
    data = open_folder(pets)
    assert (data.classes, data.notes) == (("cat", "dog"), ())


def test_empty_folders_are_no_classes(pets: Path) -> None:
    (pets / "training" / "cow" / "below").mkdir(parents=True)
    (pets / "training" / "cow" / ".DS_Store").touch()
    (pets / "testing" / "new").mkdir()
    data = open_folder(pets)
    assert data.classes == ("cat", "dog")
    assert data.notes == ("Empty folders are no classes: training/cow, testing/new",)


def test_a_folder_of_files_that_are_no_images_is_no_empty_one(pets: Path) -> None:
    """Its class would be missing, and not because there is nothing to show it."""
    (pets / "training" / "cow").mkdir()
    (pets / "training" / "cow" / "1.tga").touch()
    with pytest.raises(DataError, match="found none in training/: cow; add some"):
        open_folder(pets)


def test_links_are_followed_but_not_in_circles(pets: Path) -> None:
    shutil.move(pets / "training" / "cat", pets / "elsewhere")
    (pets / "training" / "cat").symlink_to(pets / "elsewhere")
    assert len(open_folder(pets).train) == 3
    (pets / "elsewhere" / "loop").symlink_to(pets / "training")
    with pytest.raises(DataError, match="training/cat/loop leads back") as caught:
        open_folder(pets)
    assert "\n" not in str(caught.value)


def test_a_link_to_itself_is_named(pets: Path) -> None:
    (pets / "training" / "cat" / "3.png").symlink_to("3.png")
    with pytest.raises(DataError, match=r"lead nowhere: training/cat/3\.png;"):
        open_folder(pets)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_closed_folder_is_named(pets: Path) -> None:
    (pets / "training" / "cat").chmod(0)
    try:
        with pytest.raises(DataError, match=r"training/cat cannot be read"):
            open_folder(pets)
    finally:
        (pets / "training" / "cat").chmod(0o755)


def test_nothing_ignored_is_nothing_said() -> None:
    assert ignored([Listing(folder="training", direct=("1.png",), grouped={})]) == ()


@pytest.mark.parametrize("mode", ["I", "F"])
def test_grey_without_a_known_white_is_refused(pets: Path, mode: str) -> None:
    values = np.ones((9, 9), dtype={"I": np.int32, "F": np.float32}[mode])
    Image.fromarray(values).save(pets / "training" / "cat" / "3.tif")
    with pytest.raises(DataError, match=r"3\.tif \(grey of 32 bits"):
        open_folder(pets)


def test_sixteen_bits_of_a_pgm_file_are_scaled(pets: Path) -> None:
    values: NDArray[np.uint16] = np.array([[0, 257, 65535]], dtype=">u2")
    path = pets / "training" / "dog" / "9.pgm"
    path.write_bytes(b"P5\n3 1\n65535\n" + values.tobytes())
    assert open_folder(pets).train.pixels[-3:, 0].tolist() == [0, 1, 255]


def test_names_need_not_be_utf_8(tmp_path: Path, pets: Path) -> None:
    odd = Path(shutil.copytree(pets, tmp_path / os.fsdecode(b"p\xebts")))
    expected = open_folder(pets).fingerprint
    (odd / "training" / "cat" / "2.png").rename(odd / "training/cat" / os.fsdecode(b"\xff.png"))
    assert open_folder(odd).fingerprint == expected
    for split in ("training", "validation", "testing"):
        (odd / split / "cat").rename(odd / split / os.fsdecode(b"c\xe4t"))
    data = open_folder(odd)
    assert data.classes == ("c\udce4t", "dog")
    assert data.summary.endswith(r"2 classes: 'c\udce4t', dog")
