"""Python puts the folder of a script that is run first on its path, until run.py takes it away: a
module of search/ hides every other module of its name."""

import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import search


def test_no_module_bears_the_name_of_a_library() -> None:
    names = {path.stem for path in Path(search.__path__[0]).iterdir()} - {"__init__"}
    assert "run" in names
    assert not names & set(sys.stdlib_module_names)
    assert not names & set(packages_distributions())
