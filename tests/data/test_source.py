from pathlib import Path

import pytest

from data import DataError, DataSource


@pytest.mark.parametrize(
    ("data", "name", "size"),
    [
        ("digits", "digits", 32),
        ("fashion-mnist", "fashion-mnist", 32),
        ("a/food-11/", "food-11", 256),
    ],
)
def test_names_and_default_sizes(data: str, name: str, size: int) -> None:
    source = DataSource(data=data)
    assert (source.name, source.resolved_image_size) == (name, size)
    assert DataSource(data=data, image_size=48).resolved_image_size == 48


def test_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert DataSource(data=".").name == tmp_path.name


@pytest.mark.parametrize("size", [15, 0, -32])
def test_small_images_are_refused(size: int) -> None:
    with pytest.raises(DataError, match=f"at least 16.*found {size};.*--image-size"):
        DataSource(data="digits", image_size=size)


def test_sixteen_pixels_are_enough() -> None:
    assert DataSource(data="digits", image_size=16).resolved_image_size == 16


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(DataError, match="digits, fashion-mnist"):
        DataSource(data="")
