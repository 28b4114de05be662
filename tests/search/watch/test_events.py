import inspect
import json
import os
import re
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pruning import StageStore
from search.campaign.ledger import Ledger
from search.configuration import SearchConfig
from search.errors import RefusedError
from search.results.folder import ResultsFolder
from search.watch import background
from search.watch.background import Background
from search.watch.events import Event, Events, JsonLog
from search.watch.listening import listening
from search.watch.scalars import Scalars
from tests.search.watch.following import follow


class Slow:
    """Hears an event when it may, and fails at `stage`."""

    flag = "--slow"

    def __init__(self) -> None:
        self.may = threading.Event()
        self.heard: list[str] = []

    def hear(self, event: Event) -> None:
        self.may.wait()
        if event.name == "stage":
            raise ConnectionError("the server is gone")
        self.heard.append(event.name)


def test_the_log_has_what_happens(tmp_path: Path, store: StageStore, ledger: Ledger) -> None:
    """Each stage and each trial once, and in the end why it ended; a resumed run appends."""
    path = tmp_path / "log.jsonl"
    config = SearchConfig(log_json=path)
    for trials in (2, 4):
        with listening(config, ResultsFolder(tmp_path), print) as events:
            campaign = follow(tmp_path, store, ledger, events, trials=trials)
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    stages = [event["stage"] for event in kept if event["event"] == "stage"]
    assert sorted(stages) == sorted(stage.id for stage in store)
    ended = [event for event in kept if event["event"] == "trial"]
    assert [event["trial"] for event in ended] == [0, 1, 2, 3]
    assert [event["state"] for event in ended] == [
        "stopped" if trial.stopped else "complete" for trial in ledger
    ]
    ends = [event for event in kept if event["event"] == "end"]
    assert [event["reason"] for event in ends] == ["done", "done"]
    last = [event for event in kept if event["event"] == "progress"][-1]
    assert last["hypervolume"] == campaign.progress().hypervolume
    assert last["executed_epochs"] == store.executed_epochs
    documented = dict(re.findall(r"^- `(\w+)`([^-]*)", inspect.getdoc(Event) or "", re.MULTILINE))
    for event in kept:
        fields = set(re.findall(r"`(\w+)`", documented[event["event"]]))
        assert event.keys() == {"time", "event"} | fields


def test_a_log_tells_why_a_run_ended(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log"
    config = SearchConfig(log_json=path)
    with pytest.raises(RuntimeError), listening(config, ResultsFolder(tmp_path), print):
        raise RuntimeError("too bad")
    assert json.loads(path.read_text())["reason"] == "too bad"


def test_a_listener_that_fails_is_told_no_more_and_the_others_are(tmp_path: Path) -> None:
    said: list[str] = []
    events = Events([JsonLog(Path("/dev/full")), JsonLog(tmp_path / "log")], said.append)
    events.add("start")
    events.add("stage")
    assert said == ["Nothing more is kept for --log-json: [Errno 28] No space left on device"]
    assert len((tmp_path / "log").read_text().splitlines()) == 2
    assert events.wanted
    assert not Events().wanted


def test_a_log_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="--log-json"):
        JsonLog(tmp_path)


def test_a_log_may_be_a_named_pipe(tmp_path: Path) -> None:
    """Its reader stays until the end, and nobody is kept waiting when it has left before."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said: list[str] = []
    with subprocess.Popen(["head", "-n", "2", pipe], stdout=subprocess.PIPE) as reader:
        events = Events([JsonLog(pipe)], said.append)
        events.add("start")
        events.add("stage")
        read = reader.communicate()[0].splitlines()
        assert [json.loads(line)["event"] for line in read] == ["start", "stage"]
    events.add("end")
    assert said == ["Nothing more is kept for --log-json: [Errno 32] Broken pipe"]


def test_a_slow_listener_keeps_nobody_waiting_before_the_end() -> None:
    slow = Slow()
    events = Events([Background(slow)])
    events.add("start")
    events.add("progress")
    assert slow.heard == []
    slow.may.set()
    events.add("end")
    assert slow.heard == ["start", "progress", "end"]


def test_what_fails_in_the_background_is_said_once() -> None:
    slow = Slow()
    said: list[str] = []
    events = Events([Background(slow)], said.append)
    for name in ("start", "stage", "progress"):
        events.add(name)
    slow.may.set()
    events.add("end")
    assert slow.heard == ["start"]
    assert said == ["Nothing more is kept for --slow: the server is gone"]


def test_the_end_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_PATIENCE", 0.01)
    slow = Slow()
    said: list[str] = []
    Events([Background(slow)], said.append).add("end")
    slow.may.set()
    assert said == ["Nothing more is kept for --slow: what was left takes more than 0.01 seconds"]


def test_where_a_search_stands_is_plotted_when_it_has_changed() -> None:
    def progress(networks: int) -> Event:
        fields = {"hypervolume": 0.5, "networks": networks, "front": 2, "executed_epochs": 7}
        return Event(time=datetime.now(UTC), name="progress", fields=fields)

    scalars = Scalars("macs")
    first = scalars.of(progress(3))
    assert first == {"search/hypervolume": 0.5, "search/networks": 3, "search/front": 2}
    assert scalars.of(progress(3)) == {}
    assert scalars.of(progress(4))["search/networks"] == 4


def test_of_a_network_its_accuracy_and_cost_are_plotted() -> None:
    fields = {"val_accuracy": 0.9, "params": 10, "macs": 1_000, "size_bytes": 40}
    stage = Event(time=datetime.now(UTC), name="stage", fields=fields)
    assert Scalars("bytes").of(stage) == {"network/val_accuracy": 0.9, "network/size_bytes": 40}
