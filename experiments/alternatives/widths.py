"""Where networks of a few sizes are placed, and how epochs are divided among them."""

import numpy as np

from pruning import Architecture


def even_widths(
    architecture: Architecture, *, narrowest: float, count: int = 8
) -> tuple[float, ...]:
    """Widths whose networks lie evenly in the logarithm of their parameters.

    Args:
        architecture: Of the root.
        narrowest: The least width, in (0, 1).
        count: How many widths, at least 2.

    Returns:
        Ascending multiples of one channel of the widest block, the last one 1; each is the one
        whose parameters are nearest to their place.

    Raises:
        ValueError: There are not so many networks between the narrowest and the root.
    """
    most = max(architecture.channels)
    grid = [step / most for step in range(1, most + 1)]
    sizes = np.log([architecture.params(architecture.channels_at(width)) for width in grid])
    least = np.log(architecture.params(architecture.channels_at(narrowest)))
    places = np.linspace(least, sizes[-1], count)
    widths = sorted({grid[int(np.abs(sizes - place).argmin())] for place in places})
    if len(widths) < count:
        raise ValueError(f"only {len(widths)} of {count} widths from {narrowest:g} to 1 differ")
    return tuple(widths)


def split_evenly(total: int, parts: int) -> list[int]:
    """Whole numbers that add up to `total` and differ by one at most; the greater ones first."""
    share, left_over = divmod(total, parts)
    return [share + (part < left_over) for part in range(parts)]
