"""The notebook's augmentation and its evaluation crop, a batch at a time.

A training crop is a chain of index maps: rotation, flip, crop, symmetric padding. They are
composed into one map from output pixels to rows of `Split.pixels`, so that an image is read once
and never copied at full size. Only the rotation mixes rows and columns; the rest of the chain acts
on each alone and is worked out for whole lines, not for pixels.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt

import torch
from torch import Tensor

from data.packed import Split

_LARGEST_ANGLE = 15.0
_FIXED_POINT_BITS = 16
# Far enough below zero that the sum of two such lines, or of one and a real one, stays negative.
_OUTSIDE = -(2**61)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CropParameters:
    """What was drawn for each of B training crops."""

    top: Tensor
    """int64 (B,), the crop's first row in the padded image."""
    left: Tensor
    """int64 (B,), the crop's first column in the padded image."""
    flipped: Tensor
    """bool (B,), whether the crop is mirrored left to right."""
    angle: Tensor
    """float32 (B,), rotation of the mirrored crop in degrees, counter-clockwise."""
    padding: int
    """Symmetric padding that was asked for; images still too small were padded further."""

    def __getitem__(self, span: slice) -> "CropParameters":
        """What was drawn for some of the crops."""
        return CropParameters(
            top=self.top[span],
            left=self.left[span],
            flipped=self.flipped[span],
            angle=self.angle[span],
            padding=self.padding,
        )


def draw_crops(
    split: Split,
    indices: Tensor,
    *,
    size: int,
    padding: int,
    flip: bool,
    generator: torch.Generator,
) -> CropParameters:
    """Draws the random part of B training crops.

    Follows RandomCrop(size, padding, pad_if_needed=True, padding_mode="symmetric"),
    RandomHorizontalFlip (if `flip`) and RandomRotation(15) of the notebook's get_dataloader. The
    same four numbers an image are drawn on every device, whatever the options.

    Args:
        split: where the images lie.
        indices: int64 (B,), the images, on any device.
        size: side of the crops in pixels.
        padding: symmetric padding on every side in pixels; a side that is then still shorter than
            `size` is padded further by what it lacks, at both ends, the image itself repeating.
            (RandomCrop would repeat the padded image. No data set here needs both.)
        flip: whether half of the crops are mirrored.
        generator: a generator on the CPU.

    Returns:
        Parameters on the split's device.
    """
    device = split.offsets.device
    draws = torch.rand((4, len(indices)), dtype=torch.float64, generator=generator)
    draws = draws.to(device, non_blocking=True)
    index = indices.to(device, non_blocking=True)
    sides = torch.stack((split.heights[index], split.widths[index]))
    places = sides + 2 * _pad_amount(sides, size, padding) - size + 1
    top, left = (draws[:2] * places).long()
    return CropParameters(
        top=top,
        left=left,
        flipped=(draws[2] < 0.5) if flip else torch.zeros_like(draws[2], dtype=torch.bool),
        angle=(draws[3] * (2 * _LARGEST_ANGLE) - _LARGEST_ANGLE).float(),
        padding=padding,
    )


def gather_train(split: Split, indices: Tensor, parameters: CropParameters, size: int) -> Tensor:
    """Takes B training crops: symmetric padding, crop, flip, rotation about the centre.

    Equal, pixel by pixel, to torchvision on PIL images: nearest neighbour, black outside.

    Args:
        split: where the images lie.
        indices: int64 (B,), the images, on any device.
        parameters: from `draw_crops` for the same images and size, on the split's device.
        size: side of the crops in pixels.

    Returns:
        uint8 (B, size, size, 3) on the split's device.
    """
    device = split.offsets.device
    index = indices.to(device, non_blocking=True)
    positions, inside = _lattice(size, device)
    sides = torch.stack((split.heights[index], split.widths[index]))
    starts = torch.stack((parameters.top, parameters.left))
    starts = starts - _pad_amount(sides, size, parameters.padding)
    along = positions.expand(2, len(index), -1).clone()
    along[1] = torch.where(parameters.flipped[:, None], size - 1 - positions, positions)
    lines = fold(starts[..., None] + along, sides[..., None])
    lines[0] = lines[0] * sides[1, :, None] + split.offsets[index, None]
    lines = lines.masked_fill_(~inside, _OUTSIDE)

    rows, columns = _rotated(parameters.angle, size, len(positions))
    # index_select is four times as fast here as indexing with brackets on a CPU.
    taken = lines[0].flatten().index_select(0, rows.flatten())
    taken.add_(lines[1].flatten().index_select(0, columns.flatten()))
    return _take(split.pixels, taken.view(rows.shape))


def gather_center(split: Split, indices: Tensor, size: int) -> Tensor:
    """Takes the middle of B images, black where an image is too small.

    Equal to torchvision's CenterCrop, its rounding (half to even) included.

    Args:
        split: where the images lie.
        indices: int64 (B,), the images, on any device.
        size: side of the crops in pixels.

    Returns:
        uint8 (B, size, size, 3) on the split's device.
    """
    device = split.offsets.device
    index = indices.to(device, non_blocking=True)
    sides = torch.stack((split.heights[index], split.widths[index]))
    surplus = sides - size
    half = surplus.abs() >> 1
    # A crop starts at surplus/2 rounded half to even; padding gives its odd pixel to the end.
    starts = torch.where(surplus >= 0, half + (surplus & half & 1), -half)
    lines = starts[..., None] + torch.arange(size, device=device)
    inside = (lines >= 0) & (lines < sides[..., None])
    lines[0] = lines[0] * sides[1, :, None] + split.offsets[index, None]
    lines = lines.masked_fill_(~inside, _OUTSIDE)
    return _take(split.pixels, lines[0, :, :, None] + lines[1, :, None, :])


def fold(positions: Tensor, length: Tensor) -> Tensor:
    """Maps positions on a symmetrically padded line to positions on the line itself.

    A line `a b c` padded without end reads `… c b a a b c c b a …`, with period 2 * length.

    Args:
        positions: int64, 0 is the line's first pixel; any value.
        length: int64 of at least 1, broadcast against `positions`.

    Returns:
        int64 in [0, length).
    """
    around = positions.remainder(2 * length)
    return torch.minimum(around, 2 * length - 1 - around)


def _pad_amount(sides: Tensor, size: int, padding: int) -> Tensor:
    """Pixels padded at each end: the padding, and like torchvision all that is then missing."""
    return padding + (size - 2 * padding - sides).clamp_(min=0)


@lru_cache(maxsize=16)
def _lattice(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Positions along a crop's line with a margin no rotation can leave; which are in the crop."""
    positions = torch.arange(-_margin(size), size + _margin(size), device=device)
    return positions, (positions >= 0) & (positions < size)


def _margin(size: int) -> int:
    # A corner is size / sqrt(2) from the centre; fixed-point error stays far below the added 2.
    return ceil(size * (sqrt(0.5) - 0.5)) + 2


def _rotated(angle: Tensor, size: int, line: int) -> tuple[Tensor, Tensor]:
    """Where each output pixel comes from, as positions in B flattened lines of length `line`.

    Works in Pillow's 16.16 fixed point (its affine transform of nearest neighbours), so that even
    pixels on a rounding boundary agree with it.
    """
    one = 1 << _FIXED_POINT_BITS
    radians = torch.deg2rad(angle.double())
    cos, sin = radians.cos(), radians.sin()
    reach = (size - 1) / 2
    first = torch.stack((reach + 0.5 - reach * (cos + sin), reach + 0.5 - reach * (cos - sin)))
    fixed = (torch.cat((torch.stack((cos, sin)), first)) * one + 0.5).floor_().int()
    # 32 bits, as in Pillow, are enough for sides up to 2**14 pixels.
    steps = torch.arange(size, device=angle.device, dtype=torch.int32)
    along_cos, along_sin = fixed[:2, :, None] * steps
    first_row, first_column = fixed[2:, :, None]
    rows = (along_cos + first_row)[:, :, None] + along_sin[:, None, :]
    columns = (along_cos + first_column)[:, None, :] - along_sin[:, :, None]
    starts = torch.arange(len(angle), device=angle.device, dtype=torch.int32) * line + _margin(
        size
    )
    starts = starts[:, None, None]
    return (
        rows.bitwise_right_shift_(_FIXED_POINT_BITS).add_(starts),
        columns.bitwise_right_shift_(_FIXED_POINT_BITS).add_(starts),
    )


def _take(pixels: Tensor, index: Tensor) -> Tensor:
    """Rows of `pixels` (P, 3) at `index`, which is overwritten; black where it is negative."""
    real = (index >= 0).unsqueeze(-1)
    taken = pixels.index_select(0, index.clamp_(min=0).flatten()).view(*index.shape, 3)
    return taken.mul_(real)
