import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_importing_data_is_light_and_needs_none_of_the_other_packages() -> None:
    code = (
        "import data, sys\n"
        "unwanted = {'sklearn', 'torchvision', 'models', 'pruning', 'search', 'ray', 'optuna'}\n"
        "print(*(unwanted & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert result.stdout.split() == []
