"""What a page says of a search in words: where it stands, what it was, where it ran."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pruning import Stage
from search.front.cost import cost_of
from search.front.names import UNITS, CostName

_NEAR = 0.01  # of accuracy, that people give away for a small network
_LEAST_GAIN = 10 * _NEAR  # above chance, below which that is not little
_SHOWN = 12  # digits of a digest

Facts = list[tuple[str, str]]


def figures(
    stages: Sequence[Stage],
    members: Sequence[Stage],
    executed_epochs: int,
    cost: CostName,
    chance: float,
) -> Facts:
    """The few numbers that come first.

    Args:
        stages: Of a search.
        members: Those on the front, by ascending cost.
        executed_epochs: Of the search.
        cost: What accuracy is traded against.
        chance: Accuracy of guessing.
    """
    found = [
        ("networks", f"{len(stages):,}"),
        ("on the front", f"{len(members):,}"),
        ("epochs executed", f"{executed_epochs:,}"),
    ]
    root = next((stage for stage in stages if not stage.schedule), None)
    if root is not None:
        found.append(("accuracy of the root", f"{root.val_accuracy:.4f}"))
        best = max(one.val_accuracy for one in members)
        if best >= chance + _LEAST_GAIN:
            near = next(one for one in members if one.val_accuracy >= best - _NEAR)
            share = cost_of(near, cost) / cost_of(root, cost)
            name = f"of the root's {UNITS[cost]} are within {_NEAR:g} of the best"
            found.append((name, _percent(share)))
    return found


def facts(description: Mapping[str, Any], seconds: float) -> Facts:
    """Data, network, machine and versions.

    Args:
        description: The content of search.json.
        seconds: That all rounds took on their workers.
    """
    config, data = description["config"], description.get("data", {})
    hardware, versions = description.get("hardware", {}), description.get("versions", {})
    images, classes = data.get("images", {}), data.get("classes", [])
    runs = description.get("runs", [])
    found = [
        ("data", str(config.get("data"))),
        ("images", ", ".join(f"{count:,} {split}" for split, count in images.items())),
        ("image size", f"{config.get('image_size')} pixels"),
        ("classes", f"{len(classes)}: {', '.join(map(str, classes))}"),
        ("fingerprint of the data", str(data.get("fingerprint", ""))[:_SHOWN]),
        ("network", str(config.get("model"))),
        ("sampler", str(config.get("sampler"))),
        ("machine", _machine(hardware)),
        ("started", str(description.get("started", ""))),
        ("runs", str(len(runs))),
        ("hours over all runs", f"{description.get('hours', 0.0):.2f}"),
        ("workers' hours", f"{seconds / 3600:.2f}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("commit", str(description.get("commit") or "")[:_SHOWN]),
    ]
    return [(name, value) for name, value in found if value]


def settings(description: Mapping[str, Any]) -> Facts:
    """The whole configuration."""
    return [(name, _plain(value)) for name, value in description["config"].items()]


def _percent(share: float) -> str:
    """To two digits, of which none is lost above ten."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _machine(hardware: Mapping[str, Any]) -> str:
    names = hardware.get("gpu_names") or str(hardware.get("device_type", ""))
    return f"{names}, {hardware.get('workers')} workers, {hardware.get('cores')} cores"


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)
