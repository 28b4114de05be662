"""Networks as they were written, whatever was put around them to run them."""

from itertools import chain

from torch import nn


def unwrapped(net: nn.Module) -> nn.Module:
    """The same network on the CPU, with no part compiled or spread over GPUs.

    Each width would be compiled anew, which takes longer than its rounds; where networks are
    trained is the search's to say. Tensors on the meta device stay there.
    """
    net = _bare(net)
    tensors = chain(net.parameters(), net.buffers())
    return (
        net.cpu() if any(tensor.device.type not in ("cpu", "meta") for tensor in tensors) else net
    )


def _bare(module: nn.Module) -> nn.Module:
    if "_orig_mod" in module._modules:  # what torch.compile makes of a module
        return _bare(module.get_submodule("_orig_mod"))
    if isinstance(module, nn.DataParallel):
        return _bare(module.module)
    if module._compiled_call_impl is not None:  # by its method compile
        module._compiled_call_impl = None
    for name, child in list(module._modules.items()):
        if child is not None and (bare := _bare(child)) is not child:
            setattr(module, name, bare)
    return module
