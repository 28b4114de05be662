import pytest
import torch
from torch import Tensor, nn

from models.layers import Depthwise, Pointwise


def outcome(layer: nn.Module, images: Tensor, upstream: Tensor) -> list[Tensor]:
    inputs = images.clone().requires_grad_()
    output = layer(inputs)
    output.backward(upstream)
    return [output.detach(), inputs.grad, layer.weight.grad, layer.bias.grad]


@pytest.mark.parametrize("side", [1, 2, 3, 8, 9])
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("kind", ["pointwise", "depthwise"])
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_outputs_and_gradients_are_those_of_the_library(
    side: int, batch: int, kind: str, memory_format: torch.memory_format
) -> None:
    torch.manual_seed(0)
    layer, theirs, outputs = {
        "pointwise": (Pointwise(6, 10), nn.Conv2d(6, 10, 1), 10),
        "depthwise": (Depthwise(6), nn.Conv2d(6, 6, 3, padding=1, groups=6), 6),
    }[kind]
    theirs.load_state_dict(layer.state_dict())
    images = torch.randn(batch, 6, side, side).to(memory_format=memory_format)
    upstream = torch.randn(batch, outputs, side, side)
    for mine, reference in zip(
        outcome(layer, images, upstream), outcome(theirs, images, upstream), strict=True
    ):
        torch.testing.assert_close(mine, reference, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(layer(images), theirs(images), rtol=1e-5, atol=1e-5)


def test_what_is_exported_has_the_library_s_convolutions() -> None:
    net = nn.Sequential(Depthwise(6), Pointwise(6, 10)).eval()
    exported = torch.export.export(net, (torch.rand(2, 6, 2, 2),))
    called = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    assert called == ["aten.conv2d.default", "aten.conv2d.default"]
