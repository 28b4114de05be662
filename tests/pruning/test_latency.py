import json
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor, nn

from pruning import (
    LatencyLadder,
    RoundRunner,
    Stage,
    Stopwatch,
    StoreError,
    StudentArchitecture,
    device_name,
)

CPU = torch.device("cpu")
LADDER = LatencyLadder(device="a card", widths=(0.0, 1.0), milliseconds=(1.0, 2.0))


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Again(nn.Module):
    """A network that does its work many times."""

    def __init__(self, net: nn.Module, times: int) -> None:
        super().__init__()
        self.net = net
        self.times = times

    def forward(self, images: Tensor) -> Tensor:
        for _ in range(self.times):
            logits = self.net(images)
        return logits


@pytest.mark.usefixtures("one_thread")
def test_a_network_that_works_more_takes_longer(architecture: StudentArchitecture) -> None:
    stopwatch = Stopwatch(architecture, 16, CPU, root_ms=2.0)
    root = architecture.build(architecture.channels)
    assert stopwatch.root_ms == 2.0
    assert 0.5 < stopwatch.latency_ms(root) / 2.0 < 2
    assert 10 < stopwatch.latency_ms(Again(root, 20)) / 2.0 < 40


def test_timing_changes_neither_network_nor_random_numbers(
    architecture: StudentArchitecture,
) -> None:
    net = architecture.build(architecture.channels)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    stopwatch = Stopwatch(architecture, 16, CPU, root_ms=2.0)
    state = torch.get_rng_state()
    stopwatch.latency_ms(net)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_a_ladder_never_falls(architecture: StudentArchitecture) -> None:
    ladder = LatencyLadder.measured(architecture, 16, CPU)
    assert ladder.device == device_name(CPU)
    assert list(ladder.milliseconds) == sorted(ladder.milliseconds)
    assert ladder.at(1.0) == ladder.root_ms == ladder.milliseconds[-1]
    assert ladder.at(0.0) == ladder.milliseconds[0]


def test_a_ladder_outlives_json() -> None:
    assert LatencyLadder.from_json(json.loads(json.dumps(asdict(LADDER)))) == LADDER


@pytest.mark.parametrize(
    "record",
    [None, {}, {**asdict(LADDER), "widths": 1}, {**asdict(LADDER), "widths": ["0"]}],
)
def test_a_damaged_ladder_is_an_error(record: object) -> None:
    with pytest.raises(StoreError, match="latencies to expect are damaged"):
        LatencyLadder.from_json(record)


def test_a_runner_with_a_stopwatch_times_its_stages(runner: RoundRunner) -> None:
    draft, _ = runner.root()
    assert draft.latency_ms is None
    timing = replace(runner, stopwatch=Stopwatch(runner.architecture, 16, CPU, root_ms=2.0))
    timed, _ = timing.root()
    assert timed.latency_ms is not None
    assert replace(timed, latency_ms=None, latency_on=None, seconds=draft.seconds) == draft


def test_a_stage_from_before_networks_were_timed_is_read(runner: RoundRunner) -> None:
    draft, _ = runner.root()
    stage = Stage.accept(draft, trial=0, executed_epochs=0, sha256="")
    record = stage.to_json()
    del record["latency_ms"], record["latency_on"]
    assert Stage.from_json(record) == stage


@pytest.mark.parametrize("latency", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_latency_is_no_stage(runner: RoundRunner, latency: float) -> None:
    draft, _ = runner.root()
    with pytest.raises(StoreError, match="cannot take"):
        replace(draft, latency_ms=latency)
