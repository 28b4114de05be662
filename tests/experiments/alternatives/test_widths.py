import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.alternatives.widths import even_widths, split_evenly
from models import student_channels
from pruning import StudentArchitecture

ARCHITECTURE = StudentArchitecture(channels=student_channels(), num_classes=10)


def test_widths_lie_evenly_in_the_logarithm_of_parameters() -> None:
    widths = even_widths(ARCHITECTURE, narrowest=1 / 16)
    sizes = [ARCHITECTURE.params(ARCHITECTURE.channels_at(width)) for width in widths]
    assert sizes[0] == ARCHITECTURE.params(ARCHITECTURE.channels_at(1 / 16)) == 13_282
    assert sizes[-1] == ARCHITECTURE.params(ARCHITECTURE.channels) == 256_522
    assert widths[-1] == 1
    ratio = (sizes[-1] / sizes[0]) ** (1 / 7)
    assert np.divide(sizes[1:], sizes[:-1]) == pytest.approx(ratio, rel=0.03)


def test_too_few_networks_for_so_many_widths() -> None:
    with pytest.raises(ValueError, match=r"of 8 widths from 0.98 to 1 differ"):
        even_widths(ARCHITECTURE, narrowest=0.98)


@given(st.integers(0, 1000), st.integers(1, 20))
def test_a_split_adds_up_and_is_even(total: int, parts: int) -> None:
    shares = split_evenly(total, parts)
    assert sum(shares) == total
    assert len(shares) == parts
    assert max(shares) - min(shares) <= 1
    assert shares == sorted(shares, reverse=True)
