"""What a page says of a search in words: where it stands, what it was, where it ran."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pruning import Stage
from search.front.cost import cost_of
from search.front.names import UNITS, CostName

_NEAR = 0.01  # of accuracy, that people give away for a small network
_SHOWN = 12  # digits of a digest

Facts = list[tuple[str, str]]


def figures(
    stages: Sequence[Stage], members: Sequence[Stage], executed_epochs: int, cost: CostName
) -> Facts:
    """The few numbers that come first.

    Args:
        stages: Of a search.
        members: Those on the front, by ascending cost.
        executed_epochs: Of the search.
        cost: What accuracy is traded against.
    """
    found = [
        ("networks", f"{len(stages):,}"),
        ("on the front", f"{len(members):,}"),
        ("epochs executed", f"{executed_epochs:,}"),
    ]
    root = next((stage for stage in stages if not stage.schedule), None)
    if root is not None:
        found.append(("accuracy of the root", f"{root.val_accuracy:.4f}"))
        near = [one for one in members if one.val_accuracy >= root.val_accuracy - _NEAR]
        if near:
            share = cost_of(near[0], cost) / cost_of(root, cost)
            name = f"of its {UNITS[cost]} keep it within {_NEAR:g}"
            found.append((name, f"{100 * share:.2g} %"))
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


def _machine(hardware: Mapping[str, Any]) -> str:
    names = hardware.get("gpu_names") or str(hardware.get("device_type", ""))
    return f"{names}, {hardware.get('workers')} workers, {hardware.get('cores')} cores"


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)
