import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
