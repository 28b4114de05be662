"""Whether the latencies of a search hold when its networks are timed again.

Claim: they do, most of them to the 5 % in whose steps `--cost latency` tells them.

    python search/run.py --cost latency --image-size 64 --out latency
    python -m experiments.speed.latencies latency

Each shape of the search is timed again, beside the root's shape as the search did, on the same
kind of device. How to read it: a ratio divides the second latency by the recorded one. The front
of recorded latencies is compared with that of the second ones, for the same accuracies, and with
the fronts of the same networks by other costs.

Result: latencies.txt.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro
from scipy.stats import spearmanr

from experiments.instruments.hardware import hardware_line
from experiments.instruments.spread import Spread
from pruning import LatencyLadder, Stage, StageStore, Stopwatch, device_name
from search.front.names import CostName
from search.front.stages import front
from search.kept import from_record
from search.results.folder import ResultsFolder
from search.root import architecture_of
from search.workers.devices import prepare_process

_OTHERS: tuple[CostName, ...] = ("params", "macs")


@dataclass(frozen=True, kw_only=True, slots=True)
class Latencies:
    """Time the networks of a search again."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Results of a search with --cost latency."""


def main(asked: Latencies) -> None:
    """Time all shapes of a search again, and print what differs."""
    prepare_process()
    folder = ResultsFolder(asked.folder)
    description = folder.read()
    config = from_record(description["config"])
    architecture = architecture_of(config, description["root"])
    ladder = LatencyLadder.from_json(description["latency"])
    device = torch.device(description["hardware"]["device_type"])
    if device_name(device) != ladder.device or config.image_size is None:
        raise SystemExit(f"{asked.folder} was measured on {ladder.device}; run this there.")
    stopwatch = Stopwatch(architecture, config.image_size, device, ladder.root_ms)
    stages = list(StageStore(folder.stages))
    recorded = {stage.channels: stage.latency_ms for stage in stages}
    again = {}
    for channels in recorded:
        net = architecture.build(channels).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        again[channels] = stopwatch.latency_ms(net)
    ratios = [again[channels] / first for channels, first in recorded.items() if first]
    rank = spearmanr(list(recorded.values()), list(again.values())).statistic
    print(hardware_line())
    print(f"{len(stages)} networks of {len(recorded)} shapes, {config.image_size} px")
    print(f"again / recorded: {Spread.of(ratios)}")
    print(f"rank correlation {rank:.3f}")
    ours = _members(stages, "latency")
    timed_again = [replace(stage, latency_ms=again[stage.channels]) for stage in stages]
    print(
        f"front: {len(ours)}; {len(ours & _members(timed_again, 'latency'))} stay when timed again"
    )
    for cost in _OTHERS:
        other = _members(stages, cost)
        print(f"front of these networks by {cost}: {len(other)}, {len(ours & other)} in common")


def _members(stages: list[Stage], cost: CostName) -> set[str]:
    return {stage.id for stage in front(stages, cost)}


if __name__ == "__main__":
    main(tyro.cli(Latencies))
