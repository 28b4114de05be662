import signal
import subprocess
import sys
from pathlib import Path

import pytest

from search.interruption import Interruption
from tests.search.searched import SCHEDULES, searched

SEARCH = Path(__file__).parents[2] / "search"
# Runs a script that is interrupted when it begins to import a module.
INTERRUPTED = """
import runpy, signal, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == moment:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)

moment = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupting())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_one_signal_waits_for_a_safe_point_and_two_do_not(number: signal.Signals) -> None:
    interruption = Interruption()
    before = signal.getsignal(number)
    with interruption.watching():
        interruption.check()
        signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_what_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption().watching():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("moment", "script", "said"),
    [
        ("tyro", "pick.py", ""),
        ("onnx", "pick.py", "Interrupted; nothing was written.\n"),
        ("rich", "checkup.py", ""),
        ("torch", "report.py", ""),
    ],
)
def test_tools_end_without_a_traceback(
    tmp_path: Path, moment: str, script: str, said: str
) -> None:
    out = searched(tmp_path / "out", *SCHEDULES[:1]).folder.path
    limits = ["--max-params", "1000000"] if script == "pick.py" else []
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, moment, str(SEARCH / script), str(out), *limits],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, said)
    assert not (out / "picked").exists()
