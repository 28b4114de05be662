"""Points to try front and hypervolume on."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

# Few distinct values, so that ties of one coordinate and of both are common.
POINTS = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=0, max_size=12
)


def split(points: list[tuple[int, float]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return np.array([p for p, _ in points], np.int64), np.array([a for _, a in points], float)
