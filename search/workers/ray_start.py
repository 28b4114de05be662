"""Starting a private Ray, or joining one that runs: what can go wrong there is said in words."""

import logging
import os
import resource
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray._private import services
from ray._private.utils import read_ray_address
from ray._raylet import (  # type: ignore[attr-defined]
    AuthenticationTokenLoader,
    Config,
    GcsClient,
)
from ray.exceptions import AuthenticationError
from ray.job_config import JobConfig

from models import first_line
from search.errors import BrokenOffError, RefusedError
from search.workers.devices import Pool

_CONNECT_SECONDS = 5
_SOCKET_BYTES = 107  # that the path of a socket may have
_SESSION = (
    "/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"  # beneath Ray's folder
)
_THREADS, _THREADS_A_WORKER = 120, 30  # of a private Ray; measured: 140 with one worker
_MODE, _TOKEN, _TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"


def check_room(workers: int) -> None:
    """Check that this machine lets a private Ray be started, before anything is made.

    Raises:
        RefusedError: It has no folder for it, or too few processes are allowed.
    """
    _scratch()
    allowed, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if os.geteuid() == 0 or allowed == resource.RLIM_INFINITY:  # root is allowed any number
        return
    free, needed = allowed - _threads_of(os.geteuid()), _THREADS + _THREADS_A_WORKER * workers
    if free < needed:
        raise RefusedError(
            f"You may start {max(0, free)} more processes and threads here, and Ray with "
            f"{workers} worker(s) needs about {needed}.\n"
            "Raise the limit by ulimit -u, or ask for fewer --workers."
        )


def start_ray(pool: Pool) -> None:
    """Start a private Ray, unless a cluster was joined.

    It has a token of its own, so that it neither needs the user's nor leaves one in the home
    folder, to which other clusters would then be held.

    Raises:
        BrokenOffError: It does not start.
    """
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ[_TOKEN] = secrets.token_hex(32)
    os.environ.pop(_TOKEN_PATH, None)
    AuthenticationTokenLoader.instance().reset_cache()  # of a private Ray that was there before
    # On Linux Ray would listen on all of the machine's addresses; so it does on loopback.
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
    scratch = _scratch()
    try:
        with _daemons_apart():
            ray.init(
                address="local",
                num_cpus=pool.workers,
                num_gpus=pool.gpus,
                include_dashboard=False,
                _temp_dir=str(scratch),
                **_options(),
            )
    except Exception as error:  # Ray raises bare ones, too
        raise BrokenOffError(
            f"Ray cannot start: {first_line(error)}\n"
            f"Its logs are in {scratch}/session_latest/logs; it needs memory, disk space, "
            "processes, and files of any size (ulimit -a)."
        ) from error


def join_ray(address: str) -> None:
    """Join a cluster.

    Args:
        address: host:port, or "auto" for the one that was started last on this machine, or the one
            that RAY_ADDRESS names.

    Raises:
        RefusedError: There is none, it asks for another token, or it cannot be joined.
    """
    if address.startswith("ray://"):
        raise RefusedError(
            "--address ray://… is a Ray client, whose driver runs elsewhere.\n"
            "Start the search on a machine of the cluster, with --address auto."
        )
    found = _last_started() if address == "auto" else address
    with suppress(ValueError, OSError):
        found = services.canonicalize_bootstrap_address(found)  # as Ray does: no loopback
    shown = address if found == address else f"{address}, which is {found}"
    way_out = "Start one with `ray start --head`, or use a private Ray by --address local."
    host, _, port = found.rpartition(":")
    try:  # Ray itself would try for minutes
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise RefusedError(f"There is no Ray cluster at --address {shown}.\n{way_out}") from error
    try:
        _agree_on_token(found)
        ray.init(address=found, **_options())
    except RefusedError:
        raise
    except Exception as error:  # Ray raises bare ones, too
        raise RefusedError(
            f"No Ray cluster can be joined at --address {shown}: {first_line(error)}\n{way_out}"
        ) from error


def _options() -> dict[str, Any]:
    """How Ray is started or joined.

    Whatever its options, it would print pages of its logs when a worker or a machine dies, which
    is said in a line by us.

    Workers look for modules in this program's own folder first. Left alone, Ray would have them
    look where the search was started, and take a folder of images called data for our package.
    """
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    path = [str(Path(__file__).resolve().parents[2])]
    return {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "job_config": JobConfig(_py_driver_sys_path=path, _client_job=True),
    }


def _scratch() -> Path:
    """A folder for Ray's sockets and logs: where it would put them itself, if that will do.

    Raises:
        RefusedError: None will.
    """
    bases = [os.environ.get("RAY_TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"]  # noqa: S108
    with suppress(FileNotFoundError):
        bases.insert(1, tempfile.gettempdir())
    for base in filter(None, bases):
        for name in ("ray", f"ray-{os.geteuid()}"):
            folder = Path(base).absolute() / name
            if len(os.fsencode(folder)) + len(_SESSION) <= _SOCKET_BYTES and _usable(folder):
                return folder
    raise RefusedError(
        "Ray finds no folder for its sockets: their paths may have "
        f"{_SOCKET_BYTES} bytes, and its folder can be written.\n"
        "Set RAY_TMPDIR to a folder of yours with a short path."
    )


def _usable(folder: Path) -> bool:
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        return os.access(folder, os.R_OK | os.W_OK | os.X_OK)
    return False


def _threads_of(user: int) -> int:
    """Threads that a user's processes have at present."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.stat().st_uid == user:
                count += len(list((process / "task").iterdir()))
    return count


@contextmanager
def _daemons_apart() -> Iterator[None]:
    """Have Ray's daemons started in process groups of their own, deaf to notices.

    Terminals and schedulers send a signal to the whole group of the search, and some notices to
    all processes of a job. They are for the driver: a daemon that one reached would end, and Ray
    in turn the driver, before that could put its house in order. On Linux the daemons die with
    the driver all the same, since the kernel sees to it; elsewhere Ray needs them in the driver's
    group for that.
    """
    popen = services.ConsolePopen

    def popen_apart(*arguments: Any, preexec_fn: Callable[[], None], **options: Any) -> Any:
        def prepare() -> None:
            preexec_fn()
            for notice in (signal.SIGHUP, signal.SIGUSR1):
                signal.signal(notice, signal.SIG_IGN)

        return popen(*arguments, preexec_fn=prepare, process_group=0, **options)

    if sys.platform == "linux":
        services.ConsolePopen = popen_apart
    try:
        yield
    finally:
        services.ConsolePopen = popen


def _last_started() -> str:
    """The address that `--address auto` stands for.

    Raises:
        RefusedError: Nothing tells.
    """
    address = os.environ.get("RAY_ADDRESS") or read_ray_address()
    if not address:
        raise RefusedError(
            "--address auto finds no Ray cluster that was started on this machine.\n"
            "Start one with `ray start --head`, or name one as --address host:port."
        )
    return str(address)


def _agree_on_token(address: str) -> None:
    """Show a cluster the user's token if it asks for one, and only then.

    With a token, this driver would ask the cluster's workers for one, which they may not have;
    without, a cluster that has one refuses it. Whoever sets RAY_AUTH_MODE has chosen.

    Raises:
        RefusedError: The cluster takes no token that is known here.
    """
    modes = [os.environ[_MODE]] if _MODE in os.environ else ["disabled", "token"]
    for mode in modes:
        os.environ[_MODE] = mode
        Config.initialize("")
        loader = AuthenticationTokenLoader.instance()
        loader.reset_cache()
        try:
            if mode == "token" and not loader.has_token(ignore_auth_mode=True):
                continue
            with _silenced():
                GcsClient(address=address)
            return
        except AuthenticationError:
            continue
    raise RefusedError(
        f"The Ray cluster at {address} has refused the token that is known here, or there is "
        "none.\n"
        f"Put its own into {_TOKEN}, or its file's path into {_TOKEN_PATH}."
    )


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep what Ray's native code writes about a refusal from standard error."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
