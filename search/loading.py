"""Networks of a search, loaded again."""

from pathlib import Path

import safetensors.torch
from torch import nn

from pruning import StageStore, load_tensors
from search.errors import RefusedError
from search.kept import from_record
from search.results.folder import ResultsFolder
from search.root import architecture_of


def load_network(folder: str | Path, stage: str) -> nn.Module:
    """A network that a search has made.

    Of a search with --model, the code that it names is run again to build the network.

    Args:
        folder: Of the results.
        stage: The network's id, as in the column of that name.

    Returns:
        The network, on the CPU and in evaluation mode. It takes RGB images divided by 255,
        (N, 3, H, W), and gives logits.

    Raises:
        RefusedError: There is no such search or network.
        StoreError: The network is damaged.
    """
    results = ResultsFolder(Path(folder))
    description = results.read()
    store = StageStore(results.stages)
    if stage not in store:
        raise RefusedError(f"{folder} has no network {stage}.")
    config = from_record(description["config"])
    net = architecture_of(config, description["root"]).build(store[stage].channels)
    load_tensors(net, safetensors.torch.load(store.weights(stage)))
    return net.eval()
