from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Command

HOOKS = Path(__file__).parent / "hooks"
Faulty = Callable[..., Command]


@pytest.fixture
def faulty(tmp_path: Path, packs: Path) -> Faulty:
    """Makes a command that is killed at a failpoint; see hooks/sitecustomize.py."""

    def make(fault: str, **environment: str) -> Command:
        return Command(tmp_path, packs, PYTHONPATH=str(HOOKS), FAULT=fault, **environment)

    return make
