"""What the pages tell readers to type is understood."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
import tyro

from models import NamedNetwork
from pruning import GraphArchitecture

HOUSE = Path(__file__).parents[2]
PAGES = [HOUSE / "README.md", *sorted(HOUSE.glob("docs/*.md"))]
COMMANDS = runpy.run_path(str(HOUSE / "docs" / "make_reference.py"))["COMMANDS"]
CODE = re.compile(r"^(?: {4}.*?)?python (\w+/)(\w+\.py)(.*)$", re.MULTILINE)
FILES = re.compile(r"^```(?:bash|yaml|dockerfile)$.*?^```$", re.DOTALL | re.MULTILINE)
"""Which test_clusters.py reads."""
OTHERS = {"--help", "--logdir", "--head", "--port", "--num-gpus", "--num-cpus", "--generate"} | {
    "--tmux",
    "--requeue",
    "--shm-size",
    "--user",
}
"""Flags of other programs: TensorBoard, Ray, SLURM, Docker."""
TYPED = [
    pytest.param(folder, name, arguments, id=f"{page.stem}-{name} {' '.join(arguments)}")
    for page in PAGES
    for folder, name, rest in CODE.findall(FILES.sub("", page.read_text(encoding="utf-8")))
    if (arguments := shlex.split(rest, comments=True)) != ["--help"]
]


@pytest.mark.parametrize(("folder", "name", "arguments"), TYPED)
def test_commands_are_understood(folder: str, name: str, arguments: list[str]) -> None:
    if folder == "search/":
        tyro.cli(COMMANDS[name], args=arguments)  # ends in SystemExit if it is not
    elif folder != "phone/":  # which the tutorial makes
        assert (HOUSE / folder / name).is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_exist(page: Path) -> None:
    reference = (HOUSE / "docs" / "reference.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^- `(--[\w-]+)", reference, re.MULTILINE))
    known |= set(re.findall(r"^- `--[\w-]+, (--[\w-]+)", reference, re.MULTILINE))
    text = FILES.sub("", page.read_text(encoding="utf-8"))
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text)) - known <= OTHERS


def test_the_network_of_the_how_to_can_be_pruned(tmp_path: Path) -> None:
    page = (HOUSE / "docs" / "how-to.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "my_network.py").write_text(program)
    network = NamedNetwork.found(f"{tmp_path}/my_network.py:make", num_classes=7)
    architecture = GraphArchitecture.of(network, image_size=32)
    assert architecture.num_classes == 7
    assert architecture.channels == (32, 64, 128)
