"""Networks by name: torchvision's, timm's, and those that a user's own code makes.

A name is `torchvision:NAME`, `timm:NAME`, `package.module:factory` or `FILE.py:factory`. A factory
is called with `num_classes=` and returns a module that maps images (N, 3, H, W) to logits. What is
run is the code that the user named; nothing is unpickled.
"""

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from torch import nn

from models.errors import NetworkError, in_a_line
from models.unwrapping import unwrapped

_LIBRARIES = ("torchvision", "timm")
_NAMES_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedNetwork:
    """A network that can be made again anywhere, with fresh weights.

    Attributes:
        name: As described above; of a file, its absolute path.
        num_classes: Size of the output.
        source: Of a file its content, which so travels to machines that do not have it.
    """

    name: str
    num_classes: int
    source: bytes | None = None

    @classmethod
    def found(cls, name: str, num_classes: int) -> Self:
        """The network of a name, as it is given on a command line.

        Raises:
            NetworkError: The name is not of one of the four forms, or there is no such file.
        """
        place, colon, factory = name.rpartition(":")
        if not colon or not place or not factory:
            raise NetworkError(
                f"{name} names no network; give torchvision:NAME, timm:NAME, "
                "package.module:factory or FILE.py:factory."
            )
        if not place.endswith(".py"):
            return cls(name=name, num_classes=num_classes)
        path = Path(place).expanduser().absolute()
        try:
            source = path.read_bytes()
        except OSError as error:
            raise NetworkError(f"{place} cannot be read: {error.strerror}.") from error
        return cls(name=f"{path}:{factory}", num_classes=num_classes, source=source)

    @property
    def made_of(self) -> dict[str, str]:
        """What tells it from others: its name, or of a file the factory's and a digest."""
        if self.source is None:
            return {"name": self.name}
        factory = self.name.rpartition(":")[2]
        return {"name": factory, "sha256": hashlib.sha256(self.source).hexdigest()}

    def build(self) -> nn.Module:
        """Make it, with weights that are drawn from torch's generator.

        Raises:
            NetworkError: There is no such network or factory, or it does not make a module.
        """
        factory = self._factory()
        try:
            net = factory()
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            raise NetworkError(
                f"{self.name} made no network with num_classes={self.num_classes}: "
                f"{in_a_line(error)}"
            ) from error
        if not isinstance(net, nn.Module):
            raise NetworkError(
                f"{self.name} made a {type(net).__name__}; its factory must return an nn.Module."
            )
        return unwrapped(net)

    def _factory(self) -> Callable[[], Any]:
        place, _, name = self.name.rpartition(":")
        if place == "torchvision":
            return self._of_torchvision(name)
        if place == "timm":
            return self._of_timm(name)
        module = self._module(place)
        factory = getattr(module, name, None)
        if not callable(factory):
            raise NetworkError(f"{place} has no factory of the name {name}.")
        return lambda: factory(num_classes=self.num_classes)

    def _of_torchvision(self, name: str) -> Callable[[], Any]:
        from torchvision import models

        known = models.list_models(module=models)
        if name not in known:
            raise NetworkError(f"torchvision has no network {name}{_similar(name, known)}.")
        options: dict[str, Any] = {"num_classes": self.num_classes}
        made = inspect.signature(models.get_model_builder(name)).return_annotation
        wanted = inspect.signature(made).parameters if inspect.isclass(made) else {}
        if "aux_logits" in wanted:  # further outputs, for training alone
            options |= {"aux_logits": False, "init_weights": True}
        return lambda: models.get_model(name, weights=None, **options)

    def _of_timm(self, name: str) -> Callable[[], Any]:
        try:
            timm: Any = importlib.import_module("timm")
        except ImportError as error:
            raise NetworkError("timm is not installed; pip install timm.") from error
        if name not in timm.list_models():
            raise NetworkError(f"timm has no network {name}{_similar(name, timm.list_models())}.")
        return lambda: timm.create_model(name, pretrained=False, num_classes=self.num_classes)

    def _module(self, place: str) -> Any:
        try:
            if self.source is not None:
                return _run(Path(place), self.source)
            sys.path.append(str(Path.cwd()))
            return importlib.import_module(place)
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            raise NetworkError(f"{place} cannot be imported: {in_a_line(error)}") from error


def _run(path: Path, source: bytes) -> Any:
    """A file as a module, once a process; it may import what lies beside it."""
    name = f"_network_{hashlib.sha256(source).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    sys.path.append(str(path.parent))
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102  (named by the user)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _similar(name: str, known: list[str]) -> str:
    """Names like one that is not known, to be shown behind it."""
    name = name.lower()  # as theirs are
    begin_so = [other for other in known if other.startswith(name)]
    alike = begin_so[:_NAMES_SHOWN] or get_close_matches(name, known, _NAMES_SHOWN)
    return f"; it has {', '.join(alike)}" if alike else ""
