import shutil
from pathlib import Path

import pytest
import torch

from data import DataSource, PackedImages, open_data


def test_another_machine_needs_no_images_but_the_pack(
    food: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = open_data(DataSource(data=str(food)))
    packed = PackedImages.of(here)
    shutil.rmtree(food)
    brought: list[str] = []

    def bring(there: Path, path: Path) -> None:
        brought.append(path.name)
        shutil.copyfile(there, path)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    for _ in range(2):  # the second process finds the first one's
        there = packed.open(bring)
        assert there.fingerprint == here.fingerprint
        assert there.classes == here.classes
        for split in ("train", "validation", "test"):
            assert torch.equal(getattr(there, split).pixels, getattr(here, split).pixels)
            assert torch.equal(getattr(there, split).labels, getattr(here, split).labels)
    assert sorted(brought) == sorted(path.name for path in packed.folder.iterdir())


def test_where_the_pack_is_nothing_is_brought(food: Path, cache: Path) -> None:
    packed = PackedImages.of(open_data(DataSource(data=str(food))))

    def bring(there: Path, path: Path) -> None:
        raise AssertionError

    assert len(packed.open(bring).train) == 3
