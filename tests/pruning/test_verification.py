"""What cannot be pruned, and the words in which it is refused."""

import pytest
from torch import nn

from pruning import Factory, GraphArchitecture, UnprunableError
from tests.pruning.factories import (
    AllOut,
    ByBatch,
    Called,
    Interleaved,
    Shuffled,
    Torchvision,
    Twice,
    TwoOutputs,
    WrongSize,
)


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (Called(Shuffled), "Shuffled .*shuffle"),
        (Torchvision("shufflenet_v2_x0_5"), "ShuffleNetV2 cannot be followed.*shuffle"),
        (Called(TwoOutputs), "TwoOutputs in training makes tuple of 3 images"),
        (Called(ByBatch), r"ByBatch in evaluation makes \(1, 20\) of 2 images"),
        (Called(Twice), r"fc\.weight and again\.weight are one tensor"),
        (Called(nn.Flatten), "Flatten has no parameters"),
        (Called(Interleaved), "Interleaved with fewer channels fails at fc"),
        (Called(AllOut), "AllOut has no channels that can be cut"),
        (Called(WrongSize), "WrongSize fails at fc with 2 images of 32 pixels a side: mat1"),
    ],
)
def test_what_cannot_be_pruned_is_refused_in_words(factory: Factory, words: str) -> None:
    with pytest.raises(UnprunableError, match=words):
        GraphArchitecture.of(factory, image_size=32)
