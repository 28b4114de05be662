from pathlib import Path

import pytest

from pruning import StageStore
from search.campaign.ledger import Ledger
from tests.search.landscape import SPACE


@pytest.fixture
def store(tmp_path: Path) -> StageStore:
    return StageStore(tmp_path / "stages")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "study.db", SPACE)
