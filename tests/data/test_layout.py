from dataclasses import replace

import pytest

from data.collection import SplitName
from data.errors import DataError
from data.labelling import stem_class
from data.layout import lay_out
from data.listing import Listing


def flat(*names: str) -> Listing:
    return Listing(folder="", direct=names, grouped={})


def grouped(**groups: tuple[str, ...]) -> Listing:
    return Listing(folder="", direct=(), grouped=groups)


def listings(train: Listing, validation: Listing, test: Listing) -> dict[SplitName, Listing]:
    return {
        "train": replace(train, folder="training"),
        "validation": replace(validation, folder="validation"),
        "test": replace(test, folder="testing"),
    }


TRAIN = flat("0_0.jpg", "0_1.jpg", *(f"{label}_3.jpg" for label in range(1, 11)))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("3_120.jpg", 3),
        ("10_0.JPEG", 10),
        ("007_1.png", 7),
        ("0001.jpg", None),
        ("cat_3.jpg", None),
        ("3_cat.jpg", None),
        ("_3.jpg", None),
        ("3_1.old.jpg", None),
        ("٣_1.jpg", None),
    ],
)
def test_the_class_is_in_the_stem(name: str, label: int | None) -> None:
    assert stem_class(name) == label


def test_flat_classes_go_up_to_the_largest_in_training() -> None:
    layout = lay_out(listings(TRAIN, flat("4_0.jpg"), flat("0001.jpg", "0002.jpg")))
    assert layout.classes == tuple(str(label) for label in range(11))
    assert layout.splits["train"].labels == (0, *range(11))
    assert layout.splits["train"].names[0] == "training/0_0.jpg"
    assert layout.splits["validation"].labels == (4,)
    assert layout.splits["test"].labels == (-1, -1)


def test_a_flat_testing_split_can_have_labels() -> None:
    layout = lay_out(listings(TRAIN, TRAIN, flat("5_0.jpg", "10_1.jpg")))
    assert layout.splits["test"].labels == (5, 10)


def test_grouped_classes_are_the_sorted_folders() -> None:
    train = grouped(apple=("1.jpg", "2.jpg"), pear=("9_1.jpg",))
    layout = lay_out(listings(train, grouped(pear=("1.jpg",)), train))
    assert layout.classes == ("apple", "pear")
    assert layout.splits["train"].labels == (0, 0, 1)
    assert layout.splits["train"].names[2] == "training/pear/9_1.jpg"
    assert layout.splits["validation"].labels == (1,)
    assert layout.splits["test"].labels == (0, 0, 1)


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("0", "1", "10", "2"), ("0", "1", "2", "10")),
        (("00", "01", "10", "9"), ("00", "01", "9", "10")),
        (("0", "1", "10", "2", "cat"), ("0", "1", "10", "2", "cat")),
        (("2²", "10", "1"), ("1", "10", "2²")),
    ],
)
def test_folders_of_numbers_are_in_the_order_of_these(
    names: tuple[str, ...], order: tuple[str, ...]
) -> None:
    """So a checkpoint means the same by both layouts."""
    split = grouped(**{name: (f"{name}.jpg", "x.jpg") for name in names})
    layout = lay_out(listings(split, split, split))
    assert layout.classes == order
    for files in layout.splits.values():
        for name, label in zip(files.names, files.labels, strict=True):
            assert name.split("/")[1] == order[label]


def test_a_flat_testing_split_beside_groups_has_no_labels() -> None:
    train = grouped(apple=("1.jpg", "2.jpg"))
    layout = lay_out(listings(train, train, flat("3_1.jpg")))
    assert layout.splits["test"].labels == (-1,)


@pytest.mark.parametrize("folder", ["apple", "00", "images"])
def test_one_folder_of_testing_images_is_no_class(folder: str) -> None:
    """Whether a class is called so or not; its files may be named as of several."""
    train = grouped(apple=("1.jpg", "2.jpg"), pear=("9_1.jpg",))
    test = grouped(**{folder: ("0_1.jpg", "1_1.jpg"), "none": ()})
    layout = lay_out(listings(train, train, test))
    assert layout.splits["test"].labels == (-1, -1)
    assert layout.splits["test"].names == (
        f"testing/{folder}/0_1.jpg",
        f"testing/{folder}/1_1.jpg",
    )
    (note,) = layout.notes
    assert note.startswith(f"testing/ has all images in one folder ({folder}): it counts as")


@pytest.mark.parametrize(
    ("test", "labels", "note"),
    [
        (flat("0_1.jpg", "0_2.jpg"), (-1, -1), "names the same class for all images (0_1.jpg)"),
        (flat("0001.jpg"), (-1,), "names no classes"),
        (grouped(a=("0001.jpg", "b/2.jpg")), (-1, -1), "has all images in one folder (a)"),
        (grouped(a=("0_1.jpg", "b/0_2.jpg")), (-1, -1), "has all images in one folder (a)"),
        (grouped(a=("0_1.jpg", "b/5_2.jpg")), (0, 5), None),
        (flat("0_1.jpg", "5_2.jpg"), (0, 5), None),
    ],
)
def test_testing_files_that_name_no_two_classes_are_unlabelled(
    test: Listing, labels: tuple[int, ...], note: str | None
) -> None:
    layout = lay_out(listings(TRAIN, TRAIN, test))
    assert layout.splits["test"].labels == labels
    assert [said.partition("/ ")[2].partition(":")[0] for said in layout.notes] == (
        [] if note is None else [note]
    )


def test_one_class_in_all_is_tested() -> None:
    split = grouped(apple=("1.jpg", "2.jpg"))
    assert lay_out(listings(split, split, split)).splits["test"].labels == (0, 0)


def test_classes_may_start_at_one() -> None:
    split = flat("1_0.jpg", "1_1.jpg", "2_0.jpg", "3_0.jpg")
    layout = lay_out(listings(split, split, split))
    assert layout.classes == ("1", "2", "3")
    assert all(files.labels == (0, 0, 1, 2) for files in layout.splits.values())
    unlabelled = lay_out(listings(split, split, flat("0001.jpg", "0002.jpg")))
    assert unlabelled.splits["test"].labels == (-1, -1)


def test_without_validation_every_sixth_training_image_of_a_class_validates() -> None:
    pears = tuple(f"{at:02}.jpg" for at in range(13))
    train = grouped(apple=pears[:5], cherry=pears[:6], pear=pears)
    split = listings(train, train, train)
    del split["validation"]
    layout = lay_out(split)
    held = ("training/cherry/05.jpg", "training/pear/05.jpg", "training/pear/11.jpg")
    assert layout.splits["validation"].names == held
    assert layout.splits["validation"].labels == (1, 2, 2)
    trained = layout.splits["train"]
    whole = lay_out(listings(train, train, train)).splits["train"]
    kept = [pair for pair in zip(whole.names, whole.labels, strict=True) if pair[0] not in held]
    assert list(zip(trained.names, trained.labels, strict=True)) == kept
    assert "every 6th image of training/" in layout.notes[0]
    assert layout.notes[1] == "Only 2 of 3 classes have images to validate"


def test_what_validates_depends_on_names_and_classes_only() -> None:
    """The same images in the flat layout, in which classes are mixed up, validate."""
    names = {label: tuple(f"{label}_{at}.jpg" for at in range(7)) for label in (0, 1)}
    validating = []
    for train in (grouped(**{str(c): n for c, n in names.items()}), flat(*names[0], *names[1])):
        split = listings(train, train, train)
        del split["validation"]
        files = lay_out(split).splits["validation"].names
        validating.append([name.rpartition("/")[2] for name in files])
    assert validating == [["0_5.jpg", "1_5.jpg"]] * 2


@pytest.mark.parametrize(
    ("train", "validation", "test", "message"),
    [
        (flat(), TRAIN, TRAIN, "training/ holds none"),
        (TRAIN, flat(), TRAIN, "validation/ holds none"),
        (TRAIN, TRAIN, grouped(apple=()), "testing/ holds none"),
        (flat("0_0.jpg"), TRAIN, TRAIN, "at least 2 images, found 0_0.jpg alone"),
        (flat("0_0.jpg", "cat.jpg"), TRAIN, TRAIN, "1 of 2: training/cat.jpg"),
        (
            flat("hot_dog_0.jpg", "0_0.jpg"),
            TRAIN,
            TRAIN,
            "must be a number, as in 3_120.jpg; .*dog",
        ),
        (TRAIN, flat("0001.jpg"), TRAIN, "1 of 1: validation/0001.jpg"),
        (TRAIN, TRAIN, flat("0_0.jpg", "0001.jpg"), "1 of 2: testing/0001.jpg"),
        (TRAIN, flat("11_0.jpg"), TRAIN, r"0\.\.10.*outside it 1 of 1: validation/11_0.jpg"),
        (TRAIN, TRAIN, flat("12_0.jpg"), "testing/12_0.jpg"),
        (flat("0_0.jpg", "10000_1.jpg"), TRAIN, TRAIN, r"0\.\.9999.*training/10000_1.jpg"),
        (flat("1_0.jpg", "1_1.jpg"), TRAIN, TRAIN, "from 0 to 1, .* found none of 0; add"),
        (flat("1_0.jpg", "3_1.jpg"), flat("1_0.jpg"), flat("3_0.jpg"), "from 1 to 3.* none of 2;"),
        (flat("1_0.jpg", "1_1.jpg"), flat("2_0.jpg"), flat("1_0.jpg"), r"lie in 1\.\.1.*2_0.jpg;"),
        (flat("0_0.jpg", "4_1.jpg"), TRAIN, TRAIN, r"training/4_1.jpg; found none of 1, 2, 3;"),
        (flat("0_0.jpg", "2020_1.jpg"), TRAIN, TRAIN, r"none of 1, 2, .* 10, and 2009 more; add"),
        (TRAIN, grouped(apple=("1.jpg",)), TRAIN, "validation/ must; found the folders apple"),
        (grouped(a=("1.jpg", "2.jpg")), TRAIN, TRAIN, "validation/ must; found the files 0_0.jpg"),
        (grouped(a=("1.jpg", "2.jpg"), b=()), TRAIN, TRAIN, "none in training/: b;"),
        (
            grouped(a=("1.jpg", "2.jpg")),
            grouped(a=("1.jpg",), c=("1.jpg",)),
            TRAIN,
            r"among those of training/ \(a\); found c;",
        ),
        (replace(TRAIN, grouped={"a": ("1.jpg",)}), TRAIN, TRAIN, "keep one"),
        (
            TRAIN,
            replace(flat(), ignored=("0_0.txt",)),
            TRAIN,
            r"holds none \(found 0_0.txt\); put",
        ),
    ],
)
def test_refusals_name_what_was_found(
    train: Listing, validation: Listing, test: Listing, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        lay_out(listings(train, validation, test))
    assert str(caught.value).count("\n") <= 1


def test_ten_bad_names_are_named() -> None:
    names = tuple(f"x{at:02}.jpg" for at in range(12))
    with pytest.raises(DataError, match=r"12 of 12: .*x09\.jpg, and 2 more;"):
        lay_out(listings(flat(*names), TRAIN, TRAIN))
