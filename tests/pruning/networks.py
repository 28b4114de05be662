"""Networks whose every tensor is random."""

import torch

from models import StudentNet
from pruning import Prune, StudentArchitecture


def random_net(channels: list[int] | tuple[int, ...], seed: int) -> StudentNet:
    """A net whose every tensor, running statistics included, is random; γ has both signs."""
    generator = torch.Generator().manual_seed(seed)
    net = StudentNet(channels=channels, num_classes=5)
    for name, tensor in net.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return net.eval()


def architecture_of(net: StudentNet, prune: Prune = "notebook") -> StudentArchitecture:
    return StudentArchitecture(channels=net.channels, num_classes=net.num_classes, prune=prune)
