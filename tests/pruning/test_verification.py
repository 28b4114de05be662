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
from tests.pruning.oddities import (
    LinesOfAnError,
    Recurrent,
    WithoutGradients,
    always_another,
    always_the_same,
    exported,
    frozen,
    half,
    lazy,
    noted,
    on_meta,
    scripted_part,
    spectral_normed,
    traced,
    weight_normed,
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
        (Called(LinesOfAnError), "LinesOfAnError fails at its start .*: no$"),
        (Called(frozen), "Sequential cannot be trained: all of its parameters are frozen"),
        (Called(WithoutGradients), "WithoutGradients cannot be trained: .*no_grad"),
        (Called(lazy), r"4\.weight has no shape before the network has run; let the factory run"),
        (Called(half), r"0\.0\.weight is of torch\.float16, on cpu; let .* torch\.float32"),
        (Called(on_meta), r"0\.0\.weight is of torch\.float32, on meta; let"),
        (Called(exported), "GraphModule fails at its start .*train"),
        (Called(noted), r"4\._extra_state in the network's state dict is no tensor \(dict\)"),
        (Called(weight_normed), r"cannot be cut, such as 1\.0 \(ParametrizedConv2d\)"),
        (Called(spectral_normed), r"cannot be cut, such as 1\.0 \(ParametrizedConv2d\)"),
        (Called(Recurrent), r"Recurrent cannot be followed .*, such as rows \(LSTM\)"),
        (Called(always_the_same), r"0\.0\.weight is the same tensor in all networks"),
        (Called(always_another), r"0\.0\.weight has another shape whenever"),
    ],
)
def test_what_cannot_be_pruned_is_refused_in_words(factory: Factory, words: str) -> None:
    with pytest.raises(UnprunableError, match=words) as caught:
        GraphArchitecture.of(factory, image_size=32)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (Called(traced), "TopLevelTracedModule is of TorchScript, .* that it was made of"),
        (Called(scripted_part), "^1 is of TorchScript"),
    ],
)
def test_what_torch_script_has_made_is_refused(factory: Factory, words: str) -> None:
    with pytest.raises(UnprunableError, match=words):
        GraphArchitecture.of(factory, image_size=32)
