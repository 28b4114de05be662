"""A listener that may take its time, such as one that waits for a server."""

from queue import SimpleQueue
from threading import Thread

from search.watch.events import Event, Listener

_PATIENCE = 60.0  # seconds that the end of a run waits for what is still to be kept


class Background:
    """Has a listener hear events in a thread of its own.

    What the listener raises is raised when the next event is told. At the last event, `end`, it is
    waited for.

    Args:
        listener: Is called by that thread only.
    """

    def __init__(self, listener: Listener) -> None:
        self.flag = listener.flag
        self._listener = listener
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._failure: Exception | None = None
        self._thread = Thread(target=self._work, name=self.flag, daemon=True)
        self._thread.start()

    def hear(self, event: Event) -> None:
        """Have an event kept.

        Raises:
            TimeoutError: The last one is not kept after a minute.
            Exception: What the listener raised.
        """
        self._events.put(event)
        if event.name == "end":
            self._thread.join(_PATIENCE)
        if self._failure is not None:
            raise self._failure
        if event.name == "end" and self._thread.is_alive():
            raise TimeoutError(f"what was left takes more than {_PATIENCE:g} seconds")

    def _work(self) -> None:
        try:
            while True:
                event = self._events.get()
                self._listener.hear(event)
                if event.name == "end":
                    return
        except Exception as error:
            self._failure = error
