import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from search.results.tables import COLUMNS

HOUSE = Path(__file__).parents[2]
DOCS = HOUSE / "docs"


@pytest.fixture(scope="module")
def maker() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "make_reference.py"))


def test_the_reference_is_what_the_program_says(maker: dict[str, Any]) -> None:
    present = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert present == maker["reference"](), "make it anew: python docs/make_reference.py"


@pytest.mark.parametrize("name", ["run.py", "report.py", "pick.py", "checkup.py"])
def test_every_flag_is_there_by_its_name(maker: dict[str, Any], name: str) -> None:
    shown = subprocess.run(
        [sys.executable, str(HOUSE / "search" / name), "--help"],
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    known = re.findall(r"^\S (?:-h, )?((?:--[\w-]+(?:, )?)+)", shown, re.MULTILINE)
    sections = re.split(r"^## (.+)\n", maker["reference"](), flags=re.MULTILINE)
    listed = re.findall(
        r"^- `((?:--[\w-]+(?:, )?)+)", sections[sections.index(name) + 1], re.MULTILINE
    )
    assert ["--help", *listed] == known


def test_the_columns_of_the_readme_exist() -> None:
    page = (HOUSE / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", page, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"\w+", row)]
    assert named
    assert set(named) <= set(COLUMNS)


def test_what_a_search_leaves_is_described(finished: Path) -> None:
    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    section = page.partition("## The results folder")[2].partition("## ")[0]
    described = set(re.findall(r"^- `([^/`]+)", section, re.MULTILINE))
    assert {path.name for path in finished.iterdir()} <= described
