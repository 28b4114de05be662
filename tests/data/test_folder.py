import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from data import DataError, DataSource, ImageData, open_data
from data.decoding import decode_image

WriteFolder = Callable[..., Path]
Noise = Callable[..., NDArray[np.uint8]]


def open_folder(root: Path) -> ImageData:
    return open_data(DataSource(data=str(root)))


def test_images_keep_their_size_order_and_pixels(food: Path) -> None:
    data = open_folder(food)
    assert (data.classes, data.image_size) == (("0", "1"), 256)
    assert (data.padding, data.flip) == (0, True)
    assert data.train.labels.tolist() == [0, 0, 1]
    assert data.validation.labels.tolist() == [0, 1]
    assert not data.test.labelled
    names = ["0_0.png", "0_1.jpg", "1_0.png"]
    for at, name in enumerate(names):
        expected = decode_image(food / "training" / name)
        assert (int(data.train.heights[at]), int(data.train.widths[at])) == expected.shape[:2]
        start = int(data.train.offsets[at])
        pixels = data.train.pixels[start : start + expected.shape[0] * expected.shape[1]]
        np.testing.assert_array_equal(pixels.view(expected.shape), expected)


def test_digits_in_parent_folders_are_no_labels(tmp_path: Path, food: Path) -> None:
    """The notebook took the second number anywhere in the path (its trap with folders)."""
    elsewhere = tmp_path / "7_hw 3 (2020)" / "11_food-11"
    shutil.copytree(food, elsewhere)
    assert open_folder(elsewhere).train.labels.tolist() == [0, 0, 1]


def test_a_moved_copy_has_the_same_fingerprint(tmp_path: Path, food: Path) -> None:
    copy = shutil.copytree(food, tmp_path / "copy")
    for path in copy.rglob("*.png"):
        os.utime(path, (1, 1))
    assert open_folder(copy).fingerprint == open_folder(food).fingerprint


@pytest.mark.parametrize(
    ("names", "fingerprint"),
    [
        (
            (
                *("training/0_0.png", "training/0_1.png", "training/1_0.png", "training/10_0.png"),
                *(f"training/{label}_3.png" for label in range(2, 10)),
                *("validation/0_7.png", "validation/1_0.png", "testing/0001.png"),
            ),
            "9e85ccff698ef58a6ca2eec47f4de551ddeea8359f6a0120e12d86921ae127f9",
        ),
        (
            (
                *("training/9/b.png", "training/9/a.png", "training/10/c.png"),
                *("validation/10/a.png", "validation/9/x.png"),
                *("testing/10/d.png", "testing/9/e.png"),
            ),
            "e0d1d85894b31e52fc5084f9906f5a7bd0f6571744d6ea21eb646086a139aeb3",
        ),
    ],
    ids=["flat", "grouped"],
)
def test_fingerprints_stay_what_they_were(
    tmp_path: Path, names: tuple[str, ...], fingerprint: str
) -> None:
    """Stages' ids are made of them: with others no search of before could be gone on with."""
    for at, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = 5 + at, 20 - at
        levels = (np.arange(3 * height * width) * 7 + at).astype(np.uint8)
        Image.fromarray(levels.reshape(height, width, 3)).save(path)
    assert open_data(DataSource(data=str(tmp_path), image_size=64)).fingerprint == fingerprint


def test_one_other_pixel_changes_the_fingerprint(food: Path) -> None:
    before = open_folder(food).fingerprint
    path = food / "validation" / "1_0.png"
    with Image.open(path) as image:
        pixels = np.array(image)
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(path)
    assert open_folder(food).fingerprint != before


def test_one_other_label_changes_the_fingerprint(food: Path) -> None:
    before = open_folder(food).fingerprint
    (food / "validation" / "1_0.png").rename(food / "validation" / "0_0.png")
    assert open_folder(food).fingerprint != before


def test_the_image_size_shapes_crops_not_the_pack(food: Path) -> None:
    calls: list[str] = []
    sources = [DataSource(data=str(food), image_size=size) for size in (128, 64)]
    large, small = (open_data(s, progress=lambda *at: calls.append(at[0])) for s in sources)
    assert large.fingerprint != small.fingerprint
    assert len(calls) == 6
    assert torch.equal(large.train.pixels, small.train.pixels)


def test_one_folder_a_class(tmp_path: Path, write_folder: WriteFolder) -> None:
    names = [f"{s}/{c}/{i}.png" for s in ("training", "validation") for c in "ba" for i in (1, 2)]
    root = write_folder(tmp_path / "set", (*names, "testing/9_9.png"))
    data = open_folder(root)
    assert data.classes == ("a", "b")
    assert data.train.labels.tolist() == [0, 0, 1, 1]
    assert not data.test.labelled


def test_endings_spaces_links_and_strays(
    tmp_path: Path, food: Path, write_folder: WriteFolder
) -> None:
    training = food / "training"
    shutil.copy(training / "0_0.png", training / "1_1.PNG")
    shutil.copy(training / "0_1.jpg", training / "1_2.JPeG")
    (training / "1_3.png").symlink_to("0_0.png")
    for stray in ("Thumbs.db", "desktop.ini", ".hidden_1.png", "notes.txt", "0_9.xml"):
        (training / stray).write_bytes(b"no image")
    (training / ".cache").mkdir()
    (training / "empty").mkdir()
    moved = food.rename(tmp_path / "sp ace ünï 食")
    linked = tmp_path / "link"
    linked.symlink_to(moved)
    data = open_folder(linked)
    assert data.train.labels.tolist() == [0, 0, 1, 1, 1, 1]
    assert data.fingerprint == open_folder(moved).fingerprint


def test_a_folder_that_cannot_be_written_is_read(food: Path) -> None:
    folders = [food, *(path for path in food.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        before = sorted(food.rglob("*"))
        assert len(open_folder(food).train) == 3
        assert sorted(food.rglob("*")) == before
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_bad_files_are_named_and_nothing_is_packed(food: Path, cache: Path, noise: Noise) -> None:
    (food / "training" / "1_7.jpg").write_bytes(b"<html>")
    (food / "validation" / "0_3.png").touch()
    Image.fromarray(noise(60, 60)).save(food / "testing" / "0002.jpg")
    whole = (food / "testing" / "0002.jpg").read_bytes()
    (food / "testing" / "0002.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError) as caught:
        open_folder(food)
    message = str(caught.value)
    assert "3 of 9" in message
    for name in ("training/1_7.jpg", "validation/0_3.png", "testing/0002.jpg"):
        assert name in message
    assert message.count("\n") == 1
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_a_bomb_is_named(food: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between one and two times Pillow's limit, where it would only warn."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 8 * 20 - 1)
    with pytest.raises(DataError, match=r"training/0_0\.png \(more than 159 pixels\)"):
        open_folder(food)


def test_a_class_without_a_training_image_is_refused(food: Path, cache: Path) -> None:
    (food / "training" / "1_0.png").rename(food / "training" / "3_0.png")
    with pytest.raises(DataError, match=r"every class needs .*3_0\.png; found none of 1, 2; add"):
        open_folder(food)
    assert not cache.exists()


def test_a_link_to_nowhere_is_named(food: Path) -> None:
    (food / "training" / "0_5.png").symlink_to(food / "gone.png")
    with pytest.raises(DataError, match=r"lead nowhere: training/0_5\.png"):
        open_folder(food)


@pytest.mark.parametrize(
    ("split", "missing"),
    [
        ("training", "missing: training;"),
        ("validation", "images of classes that have 6"),
        ("testing", None),
    ],
)
def test_an_empty_split_is_refused_and_so_is_a_missing_one_that_is_needed(
    food: Path, split: str, missing: str | None
) -> None:
    for path in (food / split).iterdir():
        path.unlink()
    with pytest.raises(DataError, match=f"{split}/ holds none"):
        open_folder(food)
    (food / split).rmdir()
    if missing is None:
        open_folder(food)
        return
    with pytest.raises(DataError, match=missing) as caught:
        open_folder(food)
    assert str(caught.value).count("\n") <= 1


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("none", "file"):
        with pytest.raises(DataError, match=f"no folder .*{name}; --data takes digits"):
            open_folder(tmp_path / name)
