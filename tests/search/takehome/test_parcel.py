import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from search.errors import RefusedError
from search.takehome.parcel import check_free, write_whole
from tests.command import snapshot

FILES = {"a": b"one", "b": b"two"}
ENDLESS = """
import sys
from pathlib import Path
from search.takehome.parcel import write_whole

class Endless(dict):
    def items(self):
        number = 0
        while True:
            yield f"{number}", b"x"
            number += 1

write_whole(Path(sys.argv[1]), Endless())
"""


def test_a_folder_is_filled(tmp_path: Path) -> None:
    out = tmp_path / "further" / "out"
    write_whole(out, FILES)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == FILES
    assert list(out.parent.iterdir()) == [out]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    full, file, link, empty = (tmp_path / name for name in ("full", "file", "link", "empty"))
    full.mkdir()
    (full / "mine").write_text("mine")
    file.write_text("mine")
    link.symlink_to("nowhere")
    before = snapshot(tmp_path)
    for out in (full, file, link):
        for act in (check_free, lambda out: write_whole(out, FILES)):
            with pytest.raises(RefusedError, match="nothing is overwritten"):
                act(out)
    assert snapshot(tmp_path) == before
    empty.mkdir()
    write_whole(empty, FILES)
    assert {path.name for path in empty.iterdir()} == FILES.keys()


def test_where_nothing_can_be_written_is_known_beforehand(tmp_path: Path) -> None:
    check_free(tmp_path / "further" / "out")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RefusedError, match=r"/proc/further/out cannot be written: .*\."):
        check_free(Path("/proc/further/out"))
    (tmp_path / "file").touch()
    with pytest.raises(RefusedError, match=r"out cannot be written: Not a directory"):
        check_free(tmp_path / "file" / "out")


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_whole(tmp_path / "out", {"a": b"", "no/such/folder": b""})
    assert list(tmp_path.iterdir()) == []


def test_a_kill_leaves_no_half_folder_and_is_in_nobody_s_way(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(out)], start_new_session=True)
    try:
        while not list(tmp_path.glob("*/5")):
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not out.exists()
    assert len(list(tmp_path.iterdir())) == 1
    write_whole(out, FILES)
    assert list(tmp_path.iterdir()) == [out]
    assert {path.name for path in out.iterdir()} == FILES.keys()
