from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Command

HOOKS = Path(__file__).parent / "hooks"
Faulty = Callable[..., Command]


@pytest.fixture(scope="session")
def fault_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def command(tmp_path: Path, fault_cache: Path) -> Command:
    return Command(tmp_path, fault_cache)


@pytest.fixture
def faulty(tmp_path: Path, fault_cache: Path) -> Faulty:
    """Makes a command that is killed at a failpoint; see hooks/sitecustomize.py."""

    def make(fault: str) -> Command:
        return Command(tmp_path, fault_cache, PYTHONPATH=str(HOOKS), FAULT=fault)

    return make
