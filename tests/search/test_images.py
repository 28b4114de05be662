"""What the command says of the images that it is given, and which it refuses."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search.configuration import SearchConfig
from tests.command import Here

PETS = tuple(
    f"{split}/{pet}/{index}.png"
    for split in ("training", "validation", "testing")
    for pet in ("cat", "dog")
    for index in range(6)
)


FEW = "12 images of 2 classes validate: one is worth 8.3% of accuracy"


def write(names: Iterable[str]) -> Path:
    """Image files in a folder `pets` of the current one."""
    for place, name in enumerate(names):
        path = Path("pets", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        levels = np.arange(3 * 400) * (place + 3)
        Image.fromarray(levels.astype(np.uint8).reshape(20, 20, 3)).save(path)
    return Path("pets")


def said(here: Here, *arguments: str) -> list[str]:
    """What is said of the images: all before the checkpoint, which is not there.

    But for how few images validate, as these always are.
    """
    done = here("--image-size", "16", "--checkpoint", "absent.bin", *arguments)
    assert done.returncode == 2
    assert "absent.bin" in done.stderr, done.stderr
    return [line for line in done.stdout.splitlines() if FEW not in line]


def test_the_start_says_what_was_read(here: Here) -> None:
    (line,) = said(here)
    assert line.startswith("Images: 726 to train, 716 to validate, 355 to test; 10 classes: 0, 1,")
    write(PETS)
    expected = "Images: 12 to train, 12 to validate, 12 to test; 2 classes: cat, dog."
    assert said(here, "--data", "pets") == [expected]


def test_the_start_says_what_was_ignored(here: Here) -> None:
    write((*PETS, "training/cat/batch2/7.bmp"))
    Path("pets/training/notes.txt").touch()
    assert said(here, "--data", "pets") == [
        "Images: 13 to train, 12 to validate, 12 to test; 2 classes: cat, dog.",
        "Ignored files, by suffix: 1 .txt (such as training/notes.txt).",
    ]


def test_the_start_says_that_testing_is_unlabelled(here: Here) -> None:
    """Copies of food-11 have all their testing images in one class folder."""
    write(name for name in PETS if not name.startswith("testing/dog"))
    summary, note = said(here, "--data", "pets")
    assert "6 to test (unlabelled); 2 classes: cat, dog." in summary
    assert "in one folder (cat): it counts as unlabelled, and test_accuracy stays empty." in note


def test_the_start_says_where_validation_images_come_from(here: Here) -> None:
    write(name for name in PETS if not name.startswith("validation"))
    summary, note, few = said(here, "--data", "pets")
    assert summary.startswith("Images: 10 to train, 2 to validate, 12 to test;")
    assert "every 6th image of training/" in note
    assert few.startswith("Only 2 images of 2 classes validate: one is worth 50.0%")


def test_large_images_are_scaled_if_that_is_asked_for(here: Here) -> None:
    for path in write(PETS).rglob("*.png"):
        Image.open(path).resize((80, 50)).save(path)
    asked = ("--data", "pets", "--image-size", "16", "--checkpoint", "absent.bin")
    few, large = here(*asked).stdout.splitlines()[1:]
    assert FEW in few
    assert large == (
        "Half of the images to train have 50 or more pixels a side, of which a network sees a "
        "crop of 16: --resize 18 scales them down first."
    )
    assert len(said(here, "--data", "pets", "--resize", "18")) == 1
    refused = here("--data", "pets", "--image-size", "16", "--resize", "15")
    assert refused.returncode == 2
    assert "--resize must be at least the image size, 16, found 15" in refused.stderr


def test_the_start_says_that_nothing_is_tested(here: Here) -> None:
    write(name for name in PETS if not name.startswith("testing"))
    assert said(here, "--data", "pets") == [
        "Images: 12 to train, 12 to validate, 0 to test; 2 classes: cat, dog.",
        "There is no testing split: test_accuracy stays empty.",
    ]


def test_an_unknown_layout_is_refused_in_two_lines(here: Here) -> None:
    write(("cat/1.png", "dog/1.png"))
    done = here("--data", "pets")
    assert done.returncode == 2
    assert "val/" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_one_class_is_refused_by_its_name(here: Here) -> None:
    write(name for name in PETS if "/cat/" in name)
    done = here("--data", "pets")
    assert done.returncode == 2
    assert "one class (cat)" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert done.stdout == ""


def test_broken_images_are_refused_or_left_out(here: Here) -> None:
    write(PETS)
    for name in ("training/cat/1.png", "testing/dog/0.png"):
        Path("pets", name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    refused = here("--data", "pets")
    assert refused.returncode == 2
    assert "training/cat/1.png (a HEIC file, which cannot be decoded)" in refused.stderr
    assert "--skip-broken" in refused.stderr
    assert len(refused.stderr.splitlines()) == 2
    summary, note = said(here, "--data", "pets", "--skip-broken")
    assert summary.startswith("Images: 11 to train, 12 to validate, 11 to test;")
    assert note.startswith("Left out 2 of 36 images, which do not decode: training/cat/1.png (a H")


def test_a_path_that_is_not_utf_8_is_refused_but_by_a_link(here: Here) -> None:
    write(PETS)
    odd = Path(os.fsdecode(b"p\xebts"))
    Path("pets").rename(odd)
    Path("link").symlink_to(odd)
    for name in (str(odd), str(odd.absolute())):
        done = here("--data", name)
        assert done.returncode == 2
        assert "no text in UTF-8" in done.stderr
        assert "p\\udcebts" in done.stderr
        assert len(done.stderr.splitlines()) == 2
    (summary,) = said(here, "--data", "link")
    assert summary.startswith("Images: 12 to train")
    assert SearchConfig(data="link").folder == Path("results/p\ufffdts")


@pytest.mark.parametrize("name", ["loop", "~nobody-of-that-name/pets"])
@pytest.mark.parametrize("out", [(), ("--out", "out")])
def test_a_path_that_leads_nowhere_is_refused(here: Here, name: str, out: tuple[str, ...]) -> None:
    Path("loop").symlink_to("loop")
    done = here("--data", name, *out)
    assert done.returncode == 2
    assert f"{name} leads nowhere" in done.stderr
    assert len(done.stderr.splitlines()) == 1
