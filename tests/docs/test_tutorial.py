"""The tutorial's commands, as a reader would type them."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def steps(page: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a page, each with the lines that it is said to write."""
    blocks = BLOCK.findall(page)
    for place, (kind, text) in enumerate(blocks):
        if kind == "sh":
            follows = blocks[place + 1 : place + 2]
            said = follows[0][1].splitlines() if follows and follows[0][0] == "text" else []
            yield text, [line for line in said if line != "…"]


def alike(line: str) -> str:
    """A line without what differs from run to run: numbers, ids, columns' width, what is seen."""
    line = re.sub(r"\t(china|flower)\t", " CLASS ", line)
    line = re.sub(r"\b[0-9a-f]{16}\b", "ID", line)
    line = re.sub(r"[+-]?\d[\d.,]*(?<![.,])", "N", line)
    return " ".join(re.sub(r"(N/N/N ?)+", "SCHEDULE", line).split())


@pytest.mark.slow
def test_its_commands_write_what_it_says(tmp_path: Path, packs: Path) -> None:
    (tmp_path / "search").symlink_to(HOUSE / "search")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": path, "XDG_CACHE_HOME": str(packs), "CUDA_VISIBLE_DEVICES": ""}
    page = (HOUSE / "docs" / "tutorial.md").read_text(encoding="utf-8")
    for command, said in steps(page):
        done = subprocess.run(
            ["bash", "-eu", "-c", command],
            cwd=tmp_path,
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert done.stderr == ""
        written = iter([alike(line) for line in done.stdout.splitlines()])
        for line in said:  # in order, with others between them
            assert alike(line) in written, f"{line}\n\nis not in\n\n{done.stdout}"
    named = re.findall(r"`(?:phone/)?(model[\w.]*|predict\.py|report\.html)`", page)
    assert len(set(named)) == 4
    for name in named:
        folder = tmp_path / ("results/photos" if name == "report.html" else "phone")
        assert (folder / name).is_file()
