"""Failpoints without a trace in the program: every function of it is one.

Python runs this file as it starts, in the driver and in all of Ray's workers, when its folder is
on PYTHONPATH. FAULT names a function, a side of it and a turn, and whom SIGKILL hits there, or the
exception that is raised there; it can name several such, one after a blank:

    FAULT="pruning.durable:write_synced:after:2:driver"    after its second call anywhere
    FAULT="search.campaign.ledger:Ledger.add:before:1:self"
    FAULT="search.campaign.ledger:Ledger.complete:before:1:search.errors.LedgerError"

FAULT_ONCE names a file: whoever can make it strikes, and nobody after.

FAULT_TRACE names a file to which every call of RoundRunner's `root` and `child` adds a line.
FAULT_PLACES names one to which it adds another when it is over: the process, its GPU, when it
began and ended, on the machine's clock, and Ray's node.

FAULT_GPUS is how many GPUs the program sees; on these, it trains on the CPU.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

TRACED = ("pruning.runner:RoundRunner.root", "pruning.runner:RoundRunner.child")


def wrap(module: ModuleType, name: str, around: Callable[[Callable[..., Any]], Any]) -> None:
    """Replace a function, or a method of a class, by what `around` makes of it."""
    *owners, last = name.split(".")
    owner: Any = module
    for part in owners:
        owner = getattr(owner, part)
    setattr(owner, last, around(getattr(owner, last)))


def killing(side: str, turn: int, victim: str) -> Callable[[Callable[..., Any]], Any]:
    calls = 0

    def strike() -> None:
        if "FAULT_ONCE" in os.environ:
            try:
                Path(os.environ["FAULT_ONCE"]).touch(exist_ok=False)
            except FileExistsError:
                return
        if victim not in ("driver", "self"):
            module, _, exception = victim.rpartition(".")
            raise getattr(importlib.import_module(module), exception)("a fault of a test")
        pid = int(os.environ["FAULT_DRIVER"]) if victim == "driver" else os.getpid()
        os.kill(pid, signal.SIGKILL)
        if pid != os.getpid():
            signal.pause()  # nothing happens after the moment of the kill; Ray ends this process

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **keywords: Any) -> Any:
            nonlocal calls
            calls += 1
            if side == "before" and calls == turn:
                strike()
            result = function(*arguments, **keywords)
            if side == "after" and calls == turn:
                strike()
            return result

        return wrapped

    return around


def tracing(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        with Path(os.environ["FAULT_TRACE"]).open("a") as file:
            file.write(f"{function.__name__}\n")
        return function(*arguments, **keywords)

    return wrapped


def placing(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        start = time.time()
        result = function(*arguments, **keywords)
        gpu = os.environ.get("CUDA_VISIBLE_DEVICES") or "none"
        with Path(os.environ["FAULT_PLACES"]).open("a") as file:
            node = importlib.import_module("ray").get_runtime_context().get_node_id()
            file.write(f"{os.getpid()} {gpu} {start} {time.time()} {node}\n")
        return result

    return wrapped


def declaring(_: Callable[..., Any]) -> Callable[..., Any]:
    def declared() -> Any:
        devices = importlib.import_module("search.workers.devices")
        return devices.Cards(count=int(os.environ["FAULT_GPUS"]), device_type="cpu")

    return declared


class Hook(importlib.abc.MetaPathFinder):
    """Changes functions of a module as soon as it has been imported."""

    def __init__(self, changes: dict[str, list[tuple[str, Callable[..., Any]]]]) -> None:
        self._changes = changes

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self._changes:
            return None
        changes = self._changes.pop(name)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            for function, around in changes:
                wrap(module, function, around)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


changes: dict[str, list[tuple[str, Callable[..., Any]]]] = {}
for fault in os.environ.get("FAULT", "").split():
    where, function, side, turn, victim = fault.split(":")
    changes.setdefault(where, []).append((function, killing(side, int(turn), victim)))
for variable, around in (("FAULT_TRACE", tracing), ("FAULT_PLACES", placing)):
    for traced in TRACED if os.environ.get(variable) else ():
        where, function = traced.split(":")
        changes.setdefault(where, []).append((function, around))
if os.environ.get("FAULT_GPUS"):
    changes.setdefault("search.workers.devices", []).append(("visible_cards", declaring))
if changes:
    if any(argument.endswith("search/run.py") for argument in sys.orig_argv):
        os.environ["FAULT_DRIVER"] = str(os.getpid())
    sys.meta_path.insert(0, Hook(changes))
