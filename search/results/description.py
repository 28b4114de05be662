"""What search.json says of a search, and whether a resumed one is still the same."""

import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data import ImageData
from pruning import LatencyLadder, Origin
from search.errors import RefusedError
from search.front.hypervolume import Scale

_LIBRARIES = ("torch", "torchvision", "ray", "optuna", "pillow")


def describe(
    config: Mapping[str, Any],
    data: ImageData,
    origin: Origin,
    scale: Scale,
    hardware: Mapping[str, str | int],
    ladder: LatencyLadder | None,
    earlier: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The content of search.json: as the search was started, and a list of its runs.

    Args:
        config: The resolved configuration, as JSON values.
        data: The images.
        origin: What stages' ids are made of.
        scale: Of the hypervolume, for those who read it without the network at hand.
        hardware: Where this run runs.
        ladder: What latencies to expect, where they are what accuracy is traded against.
        earlier: The present content, where a search is resumed.

    Raises:
        RefusedError: The resumed search had other images, or another recipe or root.
    """
    run = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()}
        | {library: version(library) for library in _LIBRARIES},
        "commit": _commit(),
        "hardware": dict(hardware),
    }
    description = {
        "config": dict(config),
        **run,
        "data": {
            "fingerprint": data.fingerprint,
            "classes": list(data.classes),
            "images": {
                "training": len(data.train),
                "validation": len(data.validation),
                "testing": len(data.test),
            },
        },
        "recipe": origin.recipe.to_json(),
        "root": dict(origin.root),
        "scale": asdict(scale),
        **({} if ladder is None else {"latency": asdict(ladder)}),
        "runs": [run],
    }
    if earlier is None:
        return description
    _check_fingerprint(config["data"], data, earlier)
    _check_same("recipe", origin.recipe.to_json(), earlier.get("recipe", {}))
    _check_same("root", origin.root, earlier.get("root", {}))
    return {
        **earlier,
        "config": dict(config),
        "scale": asdict(scale),
        "runs": [*earlier.get("runs", []), run],
    }


def _check_fingerprint(asked: str, data: ImageData, earlier: Mapping[str, Any]) -> None:
    before = str(earlier.get("data", {}).get("fingerprint"))
    if data.fingerprint != before:
        raise RefusedError(
            f"--data {asked} does not hold the images that this search was started with "
            f"(fingerprint {data.fingerprint[:12]}, not {before[:12]}).\n"
            "Give the folder that does, or start another search with --out."
        )


def _check_same(what: str, now: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    for name in sorted(now.keys() | before.keys()):
        if now.get(name) != before.get(name):
            raise RefusedError(
                f"This search was started with another {what}: its {name} was "
                f"{before.get(name)}, and is now {now.get(name)}.\n"
                "Go on with what it was started with, or start another search with --out."
            )


def _commit() -> str | None:
    """The commit of this program, if it runs from a git checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607  (git is looked up as the user has it)
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
