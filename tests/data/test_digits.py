import numpy as np
import torch
from sklearn.datasets import load_digits

from data import DataSource, gather_center, open_data


def test_each_class_is_split_by_fifths() -> None:
    data = open_data(DataSource(data="digits"))
    assert data.classes == tuple("0123456789")
    assert (data.image_size, data.padding, data.flip) == (32, 4, False)
    counts = np.bincount(load_digits().target)
    places = [np.arange(count) % 5 for count in counts]
    for split, parts in ((data.train, (0, 1)), (data.validation, (2, 3)), (data.test, (4,))):
        expected = [int(np.isin(place, parts).sum()) for place in places]
        assert split.labels.bincount().tolist() == expected
        assert split.labelled
    assert len(data.train) + len(data.validation) + len(data.test) == 1797


def test_images_are_the_digits_in_full_range() -> None:
    """At 8 times their side, the mean of a resized digit stays that of the digit."""
    data = open_data(DataSource(data="digits", image_size=64))
    crops = gather_center(data.train, torch.arange(len(data.train)), 64)
    assert crops.shape == (len(data.train), 64, 64, 3)
    assert (int(crops.min()), int(crops.max())) == (0, 255)
    assert torch.equal(crops[..., 0], crops[..., 1])
    assert torch.equal(crops[..., 0], crops[..., 2])
    bunch = load_digits()
    firsts = [int(np.flatnonzero(bunch.target == label)[0]) for label in range(10)]
    for label, first in enumerate(firsts):
        at = int((data.train.labels == label).nonzero()[0])
        expected = bunch.images[first].mean() * 255 / 16
        assert abs(float(crops[at].float().mean()) - expected) < 1.5


def test_no_image_is_in_two_splits() -> None:
    data = open_data(DataSource(data="digits"))
    seen: set[bytes] = set()
    size = 32 * 32
    for split in (data.train, data.validation, data.test):
        images = {
            split.pixels[start : start + size].numpy().tobytes()
            for start in split.offsets.tolist()
        }
        assert len(images) == len(split)
        assert not images & seen
        seen |= images


def test_the_image_size_is_part_of_the_fingerprint() -> None:
    prints = {
        open_data(DataSource(data="digits", image_size=size)).fingerprint for size in (16, 17)
    }
    assert len(prints) == 2
