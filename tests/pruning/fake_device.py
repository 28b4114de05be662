"""A GPU that is not there: tensors on it have shapes and types, and no values.

PyTorch's fake tensors run a program as far as devices, shapes and types go, and refuse most
operations on tensors of two devices. What they let pass, as a GPU does, is counted here: what
makes the host wait for the GPU, and what makes the GPU wait for the host.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from data import transforms

CUDA = torch.device("cuda", 0)
_READ = torch.ops.aten._local_scalar_dense.default
_COPIES = (torch.ops.aten._to_copy, torch.ops.aten.copy_)


class Watch(TorchDispatchMode):
    """Counts what goes between host and GPU.

    Attributes:
        waits: Values of the GPU that the host has asked for, as `item`, `int` and `bool` do.
        copies: Tensors that were copied from one to the other.
        mixed: Other operations on tensors of both, which copy in silence.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0
        self.copies = 0
        self.mixed: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        given = _tensors((arguments, options))
        if function is _READ:
            self.waits += given[0].device == CUDA
            return 1.0 if given[0].is_floating_point() else 1
        result = function(*arguments, **(options or {}))
        involved = given + _tensors(result)
        if function.overloadpacket in _COPIES:
            self.copies += len({tensor.device for tensor in involved}) > 1
        # A number on the host goes along with an operation.
        elif len({tensor.device for tensor in involved if tensor.dim()}) > 1:
            self.mixed.append(str(function))
        return result


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


@contextmanager
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """A machine with a GPU that has bf16; whatever is made meanwhile is a fake."""
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda *_: True)
    monkeypatch.setattr(nn.Module, "to", _moved)
    # The engine of gradients asks for the device itself.
    monkeypatch.setattr(Tensor, "backward", _zero_gradients)
    transforms._lattice.cache_clear()
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), Watch() as watch:
            yield watch
    finally:
        transforms._lattice.cache_clear()  # a fake tensor is of no use to others


def _moved(net: nn.Module, device: torch.device, **_: Any) -> nn.Module:
    """In place of `Module.to`, which does not know fake tensors."""
    if device != CUDA:
        return net
    for module in net.modules():
        for name, parameter in module._parameters.items():
            module._parameters[name] = nn.Parameter(_on_gpu(parameter))
        for name, buffer in module._buffers.items():
            module._buffers[name] = _on_gpu(buffer)
    return net


def _on_gpu(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=CUDA)


def _zero_gradients(loss: Tensor) -> None:
    """Gradients of zero for all parameters that a loss depends on."""
    waiting, seen = [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            node.variable.grad = torch.zeros_like(node.variable)
        waiting += [before for before, _ in node.next_functions]
