"""Networks of --model through the command, as people run it."""

import json
import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from ray.cluster_utils import Cluster
from torch import nn

from data import DataSource, gather_center, open_data
from pruning import StageStore
from search.errors import RefusedError
from search.loading import load_network
from tests.command import (
    BRIEF,
    GIVEN,
    SMALL,
    Command,
    Here,
    states,
    wait_for_output,
    wait_for_stages,
)

# As a user would write it: a concatenation, a grouped convolution, squeeze-and-excitation.
NETS = """
import torch
from torch import nn

class Squeeze(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, 4, 1), nn.ReLU(),
            nn.Conv2d(4, width, 1), nn.Sigmoid(),
        )

    def forward(self, x):
        return x * self.gate(x)

class Net(nn.Module):
    def __init__(self, num_classes=1000):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.left = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=4), nn.BatchNorm2d(8), nn.ReLU())
        self.right = nn.Sequential(nn.Conv2d(8, 12, 1), nn.BatchNorm2d(12), Squeeze(12))
        self.head = nn.Linear(20, num_classes)

    def forward(self, x):
        x = self.stem(x)
        x = torch.cat([self.left(x), self.right(x)], 1)
        return self.head(x.mean((2, 3)))

class Slow(Net):
    def forward(self, x):
        torch.ones(1000, 1000) @ torch.ones(1000, 1000)
        return super().forward(x)

def failing(num_classes):
    raise RuntimeError("no weights for you")

def deaf(num_classes):
    return Net(7)

def one_image_only(num_classes):
    class Reshaped(Net):
        def forward(self, x):
            return super().forward(x.view(2, 3, *x.shape[2:]))
    return Reshaped(num_classes)

def transformer(num_classes):
    from torchvision.models import vit_b_16
    return vit_b_16(num_classes=num_classes)
"""


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    return path


def assert_front_is_true(folder: Path) -> None:
    """A network that is loaded again has the numbers of its row."""
    data = open_data(DataSource(data="digits", image_size=16))
    for row in pd.read_csv(folder / "pareto.csv").itertuples():
        net = load_network(folder, row.stage)
        assert sum(parameter.numel() for parameter in net.parameters()) == row.params
        assert sum(tensor.nbytes for tensor in net.state_dict().values()) == row.size_bytes
        for split, accuracy in (
            (data.validation, row.val_accuracy),
            (data.test, row.test_accuracy),
        ):
            images = gather_center(split, torch.arange(len(split)), 16).permute(0, 3, 1, 2) / 255
            with torch.no_grad():
                hits = net(images).argmax(1) == split.labels
            assert hits.double().mean().item() == pytest.approx(accuracy, abs=1e-9)


@pytest.mark.slow
def test_a_network_of_ones_own_is_pruned_killed_and_loaded_again(
    command: Command, here: Here, nets: Path, packs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = command.start(
        *SMALL, "--trials", "5", "--out", "out", "--model", "nets.py:Net", "--rates", "0.3", "0.7",
    )  # fmt: skip
    wait_for_output(process, "root:")
    time.sleep(1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = command("--resume", "out")
    assert done.returncode == 0, done.stderr
    folder = command.folder / "out"
    assert len(states(folder)) == 5
    table = pd.read_csv(folder / "candidates.csv")
    assert table["params"].nunique() > 2
    assert len(json.loads(table["channels"].iloc[0])) > 2
    monkeypatch.setenv("XDG_CACHE_HOME", str(packs))
    assert_front_is_true(folder)

    nets.write_text(NETS.replace("ReLU", "ReLU6"))
    refused = here("--resume", "out", "--trials", "6")
    assert refused.returncode == 2
    assert "another" in refused.stderr
    kept = json.loads((folder / "search.json").read_text())["root"]["network"]["sha256"]
    with pytest.raises(RefusedError, match=f"another network .*\nPut its file back .*{kept}"):
        load_network(folder, table["stage"].iloc[0])


@pytest.mark.slow
def test_a_network_of_ones_own_reaches_every_machine_of_a_cluster(
    command: Command, nets: Path
) -> None:
    """Its file is gone once the search runs: each node builds the network from what it is told."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1}, shutdown_at_exit=False)
    try:
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        process = command.start(
            *BRIEF, "--workers", "2", "--trials", "5", "--out", "out", "--model", "nets.py:Net",
            "--address", cluster.address,
        )  # fmt: skip
        wait_for_stages(command.folder / "out", 1)
        nets.unlink()
        output, errors = process.communicate(timeout=300)
    finally:
        cluster.shutdown()
    assert process.returncode == 0, errors
    assert "on 2 worker(s)" in output
    assert len(states(command.folder / "out")) == 5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
def test_torchvision_s_networks(
    command: Command, packs: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """In multiples of 8, as accelerators like them."""
    done = command(
        *SMALL, "--trials", "3", "--out", "out", "--model", f"torchvision:{name}",
        "--rates", "0.3", "0.7", "--round-to", "8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = command.folder / "out"
    root, *narrow = map(json.loads, pd.read_csv(folder / "candidates.csv")["channels"])
    for counts in narrow:
        for count, of in zip(counts, root, strict=True):
            assert count % 8 == 0 or count == of
    monkeypatch.setenv("XDG_CACHE_HOME", str(packs))
    assert_front_is_true(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["student", "nets.py:Net"])
def test_weights_are_taken_from_a_checkpoint(command: Command, nets: Path, name: str) -> None:
    """They are the root's, whatever network it is; the root is not trained."""
    done = command(*SMALL, "--trials", "1", "--out", "first", "--model", name)
    assert done.returncode == 0, done.stderr
    net = load_network(command.folder / "first", _root(command.folder / "first"))
    torch.save({"model": nn.DataParallel(net).state_dict()}, command.folder / "weights.pt")
    done = command(
        *GIVEN, "--trials", "1", "--out", "second", "--model", name, "--checkpoint", "weights.pt"
    )
    assert done.returncode == 0, done.stderr
    again = load_network(command.folder / "second", _root(command.folder / "second"))
    for (key, one), other in zip(
        net.state_dict().items(), again.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), key


@pytest.mark.slow
def test_a_killed_search_of_latencies_goes_on_with_what_it_measured_first(
    command: Command,
) -> None:
    process = command.start(
        *SMALL, "--image-size", "64", "--trials", "6", "--out", "out", "--cost", "latency",
    )  # fmt: skip
    wait_for_stages(command.folder / "out", 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    folder = command.folder / "out"
    ladder = json.loads((folder / "search.json").read_text())["latency"]
    done = command("--resume", "out")
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "search.json").read_text())["latency"] == ladder
    table = pd.read_csv(folder / "candidates.csv")
    assert (table.groupby("channels")["latency_ms"].nunique() == 1).all()
    front = pd.read_csv(folder / "pareto.csv")
    assert (front["latency_ms"].diff().dropna() > -0.021 * front["latency_ms"].iloc[1:]).all()
    assert front["val_accuracy"].is_monotonic_increasing


@pytest.mark.slow
def test_latencies_that_no_width_changes_are_refused(command: Command, nets: Path) -> None:
    done = command(*SMALL, "--out", "out", "--cost", "latency", "--model", "nets.py:Slow")
    assert done.returncode == 2
    assert "Give --cost macs" in done.stderr
    assert not (command.folder / "out" / "search.json").exists()


def _root(folder: Path) -> str:
    root = StageStore(folder / "stages").child(None, None)
    assert root is not None
    return root.id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "resnet18"], "names no network"),
        (["--model", "torchvision:resnet17"], "it has resnet"),
        (["--model", "nowhere.py:Net"], "cannot be read"),
        (["--model", "torchvision:ResNet18"], "it has resnet18."),
        (["--model", "nets.py:Nothing"], "no factory"),
        (["--model", "nets.py:failing"], "no weights for you"),
        (["--model", "nets.py:deaf"], "7"),
        (["--model", "nets.py:one_image_only"], "nets.py"),
        (["--model", "torchvision:shufflenet_v2_x0_5"], "shufflenet"),
        (["--model", "nets.py:Net", "--checkpoint", "nets.py"], "nets.py"),
        (["--model", "nets.py:Net", "--round-to", "0"], "--round-to"),
        (
            ["--model", "nets.py:Net", "--round-to", "300"],
            "--round-to 300 leaves nothing to prune",
        ),
        (["--round-to", "600"], "--round-to 600 leaves nothing to prune of student"),
        (["--model", "nets.py:Net", "--prune", "notebook"], "--prune must be left out"),
    ],
)
def test_networks_that_cannot_be_pruned_are_refused_in_words(
    here: Here, nets: Path, arguments: list[str], message: str
) -> None:
    done = here(*arguments, "--image-size", "16")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert [path.name for path in Path.cwd().iterdir() if path.name != "__pycache__"] == [
        "nets.py"
    ]
