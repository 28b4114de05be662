"""Taking networks home as people do it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import safetensors.torch
import torch
from PIL import Image

from data import ImageData, gather_center
from models import StudentNet
from pruning import StageStore
from search.kept import from_record
from search.picking import main
from search.results.folder import ResultsFolder
from tests.command import snapshot
from tests.search.takehome.conftest import CLASSES, images_of

EVERYTHING = {
    "README.md",
    "model.json",
    "model.onnx",
    "model.pt2",
    "model.safetensors",
    "predict.py",
}
PICK = Path(__file__).parents[3] / "search" / "pick.py"


def data_of(search: Path) -> ImageData:
    return images_of(from_record(ResultsFolder(search).read()["config"]))


def only_folder(search: Path) -> Path:
    (folder,) = (search / "picked").iterdir()
    return folder


def accuracies(folder: Path, data: ImageData) -> dict[str, float]:
    """Of both programs on test images, as whoever has nothing but the files computes it."""
    split = data.test
    crops = gather_center(split, torch.arange(len(split)), data.image_size)
    images = (crops.permute(0, 3, 1, 2).float() / 255).contiguous()
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    (by_onnx,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        by_torch = torch.export.load(str(folder / "model.pt2")).module()(images).numpy()
    labels = split.labels.numpy()
    return {
        name: float((logits.argmax(1) == labels).mean())
        for name, logits in (("model.onnx", by_onnx), ("model.pt2", by_torch))
    }


def predicted(folder: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "predict.py"), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def lines_of(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_accuracy_on_test_images_equals_its_row(
    digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pd.read_csv(digits / "candidates.csv")
    row = rows[rows["round"] == 1].iloc[0]
    assert main([str(digits), "--stage", row.stage, "--int8"]) == 0
    output = capsys.readouterr().out
    folder = only_folder(digits)
    assert folder.name == row.stage
    assert {path.name for path in folder.iterdir()} == EVERYTHING | {"model.int8.onnx"}
    data = data_of(digits)
    assert accuracies(folder, data) == {
        "model.onnx": row.test_accuracy,
        "model.pt2": row.test_accuracy,
    }
    about = json.loads((folder / "model.json").read_bytes())
    assert about["classes"] == list(data.classes)
    assert about["input"]["shape"] == ["batch", 3, 16, 16]
    assert about["accuracy"] == {"validation": row.val_accuracy, "test": row.test_accuracy}
    for name in ("model.safetensors", "model.pt2", "model.onnx"):
        assert about["measured"][name] == about["accuracy"]
    assert abs(about["measured"]["model.int8.onnx"]["test"] - row.test_accuracy) < 0.1
    assert (about["params"], about["macs"]) == (row.params, row.macs)
    assert [round_["rate"] for round_ in about["schedule"]] == json.loads(row.rates)
    for name, size in about["file_bytes"].items():
        assert (folder / name).stat().st_size == size
        assert f"{size:,}" in output
    net = StudentNet(channels=about["channels"], num_classes=len(about["classes"])).eval()
    net.load_state_dict(safetensors.torch.load_file(folder / "model.safetensors"))


@pytest.mark.slow
def test_photos_are_classified_anywhere(photos: Path, tmp_path: Path) -> None:
    """Files of a user's own network, by their class's names, wherever one stands."""
    out = tmp_path / "taken home"
    asked = [str(photos), "--min-accuracy", "0.1", "--out", str(out), "--repeat", "1", "2"]
    assert main(asked) == 0
    config = from_record(ResultsFolder(photos).read()["config"])
    images = Path(config.data)
    moved = shutil.copytree(out, tmp_path / "elsewhere" / "net")
    files = sorted(path for path in (images / "test").rglob("*.jpg"))
    store = StageStore(photos / "stages")
    stage = store[json.loads((out / "model.json").read_bytes())["stage"]]
    for model in ("model.onnx", "model.pt2"):
        done = predicted(moved, "--model", model, *map(str, files), cwd=tmp_path)
        assert done.stderr == ""
        said = lines_of(done)
        assert [line[0] for line in said] == [str(file) for file in files]
        right = sum(line[1] == file.parent.name for line, file in zip(said, files, strict=True))
        assert right / len(files) == accuracies(moved, data_of(photos))[model]
        assert {line[1] for line in said} <= set(CLASSES)
    assert stage.params < 200
    about = (out / "model.json").read_text()
    assert [repeat["seed"] for repeat in json.loads(about)["repeats"]] == [1, 2]
    assert str(images.parent) not in about
    assert json.loads(about)["model"] == "nets.py:Net"


def test_without_images_it_is_said_that_nothing_was_checked(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((photos / "search.json").read_bytes())
    record["config"]["data"] = str(tmp_path / "gone")
    (photos / "search.json").write_text(json.dumps(record))
    assert main([str(photos), "--min-accuracy", "0.1"]) == 0
    assert "Not checked on images, but on noise: no folder" in capsys.readouterr().out
    about = json.loads((only_folder(photos) / "model.json").read_bytes())
    assert about["measured"] == {}
    assert (
        main([str(photos), "--min-accuracy", "0.1", "--out", str(tmp_path / "b"), "--int8"]) == 2
    )
    assert "--int8 and --repeat need the images" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


@pytest.mark.slow
def test_other_images_are_no_check(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((digits / "search.json").read_bytes())
    record["data"]["fingerprint"] = "0" * 64
    (digits / "search.json").write_text(json.dumps(record))
    assert main([str(digits), "--max-params", "100000", "--no-onnx"]) == 0
    assert "holds other images than the search had" in capsys.readouterr().out


def test_a_mismatch_is_an_error_and_nothing_is_written(
    digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = StageStore(digits / "stages")
    (first,) = [stage for stage in store if len(stage.schedule) == 1]
    assert first.test_accuracy is not None
    store.set_test_accuracy(first.id, 1 - first.test_accuracy)
    before = snapshot(digits)
    assert main([str(digits), "--stage", first.id]) == 1
    assert "test images, but was on" in capsys.readouterr().err
    assert snapshot(digits) == before


@pytest.mark.slow
def test_without_onnx_there_are_still_torch_s_files(
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    limit = ("--max-params", "100000")
    assert main([str(digits), *limit]) == 2
    assert "pip install" in capsys.readouterr().err
    assert main([str(digits), *limit, "--no-onnx"]) == 0
    folder = only_folder(digits)
    assert {path.name for path in folder.iterdir()} == EVERYTHING - {"model.onnx"}
    assert folder.parent.parent == digits
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no image")
    done = predicted(folder, "bad.png", "good.png", "none.png", cwd=tmp_path)
    assert done.returncode == 1
    assert [line[0] for line in lines_of(done)] == ["good.png"]
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["bad.png", "none.png"]
    assert predicted(folder, "--help", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "Say which network"),
        (("--stage", "0123456789abcdef"), "has no network '0123456789abcdef'; candidates.csv"),
        (("--stage", "../x"), "has no network"),
        (("--stage", "0123456789abcdef", "--max-macs", "1"), "give one"),
        (("--max-params", "10"), "above --max-params 10"),
        (("--max-params", "1000000", "--out", "."), "nothing is overwritten"),
        (("--max-params", "1000000", "--int8", "--no-onnx"), "leave out --no-onnx"),
        (("--max-params", "1000000", "--repeat", "1", "1"), "distinct numbers"),
    ],
)
def test_refusals_change_nothing(
    digits: Path,
    flags: Sequence[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(digits)
    before = snapshot(digits)
    assert main([str(digits), *flags]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") <= 2
    assert snapshot(digits) == before


def test_what_is_no_search_or_damaged_is_refused(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "nothing"), "--max-params", "9"]) == 2
    assert "holds no search" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()
    for record in digits.glob("stages/*/stage.json"):
        record.write_bytes(b"{")
    assert main([str(digits), "--max-params", "9"]) == 2
    assert "checkup.py" in capsys.readouterr().err
    shutil.rmtree(digits / "stages")
    assert main([str(digits), "--max-params", "9"]) == 2
    assert "no networks yet" in capsys.readouterr().err
    assert not (digits / "stages").exists()


@pytest.mark.slow
def test_a_process_of_its_own(digits: Path, tmp_path: Path) -> None:
    """Whatever bears our names beside it; with a network that was not tested yet."""
    for name in ("data", "models", "pruning", "search", "onnx"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not ours')")
    store = StageStore(digits / "stages")
    (last,) = [stage for stage in store if len(stage.schedule) == 2]
    assert last.test_accuracy is None
    before = snapshot(digits)
    done = subprocess.run(
        [
            sys.executable,
            str(PICK),
            str(digits),
            "--max-params",
            str(last.params),
            "--out",
            "mine",
        ],
        cwd=tmp_path,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"Picked {last.id}" in done.stdout
    assert "Written to mine. Try: python mine/predict.py IMAGE" in done.stdout
    assert {path.name for path in (tmp_path / "mine").iterdir()} == EVERYTHING
    about = json.loads((tmp_path / "mine" / "model.json").read_bytes())
    (found,) = set(accuracies(tmp_path / "mine", data_of(digits)).values())
    assert about["accuracy"]["test"] == found
    assert snapshot(digits) == before
