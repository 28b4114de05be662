"""The script that classifies image files, run as its user will run it."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from search.errors import MismatchError
from search.takehome.programs import PROGRAMS
from search.takehome.proof import Proof

SCRIPT = "predict.py"
_TOLERANCE = 2e-3  # of a probability, of which four digits are printed


def script() -> bytes:
    """The content of the script."""
    return Path(__file__).with_name(SCRIPT).read_bytes()


def rehearse(files: Mapping[str, bytes], proof: Proof, classes: Sequence[str]) -> None:
    """Have the script classify images with each of its programs.

    Args:
        files: Of the folder, by name.
        proof: What the programs say of some images.
        classes: Their names.

    Raises:
        MismatchError: It fails, or says something else.
    """
    with tempfile.TemporaryDirectory() as scratch:
        home, elsewhere = Path(scratch) / "home", Path(scratch) / "elsewhere"
        home.mkdir()
        elsewhere.mkdir()
        for name, content in files.items():
            (home / name).write_bytes(content)
        names = [f"{place}.png" for place in range(len(proof.samples))]
        for name, pixels in zip(names, proof.samples, strict=True):
            Image.fromarray(pixels).save(elsewhere / name)
        for model in PROGRAMS:
            if model not in files:
                continue
            lines = _said(home / SCRIPT, model, names, elsewhere)
            probabilities = torch.softmax(proof.logits[model], 1)
            for line, name, wanted in zip(lines, names, probabilities, strict=True):
                if not _agrees(line, name, wanted, classes):
                    raise MismatchError(
                        f"{SCRIPT} with {model} says {line!r}, but the network "
                        f"{classes[int(wanted.argmax())]} with {wanted.max().item():.4f}."
                    )


def _said(script: Path, model: str, names: Sequence[str], folder: Path) -> list[str]:
    """The lines that a script prints on some files in a folder."""
    done = subprocess.run(  # noqa: S603  (our own script)
        [sys.executable, str(script), "--model", model, *names],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    lines = done.stdout.splitlines()
    if done.returncode != 0 or len(lines) != len(names):
        raise MismatchError(f"{SCRIPT} fails with {model}: {done.stderr.strip()}")
    return lines


def _agrees(line: str, name: str, probabilities: Tensor, classes: Sequence[str]) -> bool:
    """Whether a line names the file, a most probable class, and its probability."""
    file, _, answer = line.partition("\t")
    named, _, printed = answer.rpartition("\t")
    if named not in classes:
        return False
    of_named = probabilities[list(classes).index(named)].item()
    return (
        file == name
        and abs(float(printed) - of_named) <= _TOLERANCE
        and probabilities.max().item() - of_named <= _TOLERANCE
    )
