import io
from pathlib import Path

import matplotlib as mpl
import pytest
from PIL import Image

from search.results.page import Content, Subject
from search.results.page.picture import picture
from tests.search.searched import SCHEDULES, searched


def pixels(*subjects: Subject) -> Image.Image:
    return Image.open(io.BytesIO(picture(Content.of(subjects)))).convert("RGB")


def test_a_picture_shows_each_search_in_its_colour(tmp_path: Path) -> None:
    first = searched(tmp_path / "a", *SCHEDULES)
    second = searched(tmp_path / "b", *SCHEDULES[:2])
    blue, red = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)
    for subjects, colours in (((first,), {blue}), ((first, second), {blue, red})):
        image = pixels(*subjects)
        assert image.size == (1200, 750)
        found = {colour for _, colour in image.getcolors(1 << 24) or []}
        assert found & {blue, red} == colours


@pytest.mark.parametrize("name", ["_hidden", "$x^$", "研究", "a" * 200])
def test_any_name_can_stand_in_a_legend(tmp_path: Path, name: str) -> None:
    first = searched(tmp_path / "a", *SCHEDULES)
    assert pixels(first, searched(tmp_path / name, *SCHEDULES[:2])).size == (1200, 750)


def test_a_search_without_networks_has_an_empty_picture(tmp_path: Path) -> None:
    assert pixels(searched(tmp_path / "out")).size == (1200, 750)


def test_drawing_leaves_the_state_of_matplotlib_alone(tmp_path: Path) -> None:
    def state() -> dict[str, object]:
        others = {name: mpl.rcParams[name] for name in mpl.rcParams if name != "backend"}
        return {**others, "backend": mpl.get_backend(auto_select=False)}  # looks, chooses none

    before = state()
    pixels(searched(tmp_path / "out", *SCHEDULES))
    assert state() == before
