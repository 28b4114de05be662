"""Event files for TensorBoard."""

import os
import socket
import time
from pathlib import Path

from search.errors import missing_package
from search.watch.events import Event
from search.watch.scalars import Scalars


class Board:
    """Writes what is plotted to an event file of its own; TensorBoard joins those of a folder.

    torch's `SummaryWriter` would write in a thread, whose failure Python prints with a traceback.

    Args:
        folder: Of event files; made when there is something to plot.
        scalars: What is plotted.

    Raises:
        RefusedError: The package is missing.
    """

    flag = "--tensorboard"

    def __init__(self, folder: Path, scalars: Scalars) -> None:
        try:
            from torch.utils.tensorboard import RecordWriter  # noqa: F401
        except ImportError as error:
            raise missing_package(self.flag, "tensorboard", error) from error
        self._scalars = scalars
        self._path = folder / (
            f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
        )

    def hear(self, event: Event) -> None:
        """Append the numbers of an event."""
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from torch.utils.tensorboard import RecordWriter

        numbers = self._scalars.of(event)
        if not numbers:
            return
        values = [
            summary_pb2.Summary.Value(tag=name, simple_value=number)
            for name, number in numbers.items()
        ]
        record = event_pb2.Event(
            wall_time=event.time.timestamp(),
            step=event.fields["executed_epochs"],
            summary=summary_pb2.Summary(value=values),
        )
        records = [record]
        if not self._path.exists():
            self._path.parent.mkdir(exist_ok=True)
            records.insert(0, event_pb2.Event(file_version="brain.Event:2"))
        with self._path.open("ab") as file:
            for each in records:
                RecordWriter(file).write(each.SerializeToString())
