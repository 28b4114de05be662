"""Taking a network home: `python search/pick.py DIR`; see `--help`."""

import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import arg

from search.console import Console, reader_may_leave
from search.errors import MismatchError, RefusedError, damaged, in_words
from search.interruption import heed
from search.paths import at_home

if TYPE_CHECKING:
    from search.takehome.taking import Order

_WISHES = ("max_params", "max_macs", "max_bytes", "max_latency", "min_accuracy")
_DONE, _MISMATCH, _REFUSED, _INTERRUPTED = 0, 1, 2, 130


def _limit(metavar: str, text: str) -> Any:
    return arg(metavar=metavar, help=text, help_behavior_hint="(default: no limit)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pick:
    """Write a network of a search into a folder that needs nothing of this program.

    Takes the one with the best accuracy on validation images within the limits, or, without
    limits, the cheapest that reaches --min-accuracy; of several that tie the cheaper one, by the
    search's --cost, or the more accurate one. The folder has model.onnx, model.pt2 of
    torch.export, model.safetensors, model.json with classes and input, and predict.py, which
    classifies image files. All were tried on the search's images, if these are at hand.

    Exit codes: 0, done; 1, a file does something else than the network, and nothing was
    written; 2, refused; 130, interrupted.
    """

    folder: Annotated[Path, tyro.conf.Positional, arg(metavar="DIR", help="A results folder.")]
    max_params: Annotated[int | None, _limit("N", "Most parameters.")] = None
    max_macs: Annotated[int | None, _limit("N", "Most multiply-adds for one image.")] = None
    max_bytes: Annotated[
        int | None, _limit("N", "Most bytes of the fp32 weights and buffers.")
    ] = None
    max_latency: Annotated[
        float | None,
        _limit(
            "MS",
            "Most milliseconds of a forward pass of one image, as latency_ms in candidates.csv "
            "has it: on the device of the search, not on yours.",
        ),
    ] = None
    min_accuracy: Annotated[
        float | None, _limit("A", "Least accuracy on validation images, in (0, 1].")
    ] = None
    stage: Annotated[
        str | None,
        arg(
            metavar="ID",
            help="This network, as pareto.csv and candidates.csv name it, and no other.",
            help_behavior_hint="(default: by the limits)",
        ),
    ] = None
    out: Annotated[
        Path | None,
        arg(
            metavar="FOLDER",
            help="Where to; must not exist.",
            help_behavior_hint="(default: DIR/picked/<stage>)",
        ),
    ] = None
    onnx: Annotated[
        bool,
        arg(
            help="Whether with model.onnx, for which the packages onnx, onnxscript and "
            "onnxruntime are needed."
        ),
    ] = True
    int8: Annotated[
        bool,
        tyro.conf.FlagCreatePairsOff,
        arg(
            help="With model.int8.onnx, too: weights and activations in 8 bits, the latters' "
            "ranges from training images. Its accuracy is said."
        ),
    ] = False

    repeat: Annotated[
        tuple[int, ...],
        arg(
            metavar="SEED ...",
            help="Train the whole schedule again with these seeds, from a fresh root, and say the "
            "accuracies, their mean and spread. It takes as long as its rounds and the root took.",
            help_behavior_hint="(default: none)",
        ),
    ] = ()

    def order(self) -> "Order":
        """What is to be done.

        Raises:
            RefusedError: It is not said which network, or said twice.
        """
        from search.takehome.choice import Wish
        from search.takehome.taking import Order

        wished = {name: value for name in _WISHES if (value := getattr(self, name)) is not None}
        if self.stage is not None and wished:
            raise RefusedError("--stage names the network, so no limits are needed: give one.")
        return Order(
            folder=at_home(self.folder),
            which=Wish(**wished) if self.stage is None else self.stage,
            out=None if self.out is None else at_home(self.out),
            onnx=self.onnx,
            int8=self.int8,
            seeds=self.repeat,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Take a network home from the command line; returns the exit code."""
    with reader_may_leave():
        asked = tyro.cli(Pick, args=arguments)
    console = Console()
    try:
        from pruning import StoreError  # spares --help the seconds of torch
        from search.takehome.taking import take_home

        heed(signal.default_int_handler)  # until here, see pick.py
        try:
            take_home(asked.order(), console)
        except StoreError as error:
            raise damaged(asked.folder, error) from error
    except RefusedError as error:
        return _ended(str(error), _REFUSED)
    except OSError as error:
        return _ended(in_words(error), _REFUSED)
    except MismatchError as error:
        return _ended(f"{error}\nNothing was written.", _MISMATCH)
    except KeyboardInterrupt:
        return _ended("Interrupted; nothing was written.", _INTERRUPTED)
    return _DONE


def _ended(why: str, code: int) -> int:
    print(why, file=sys.stderr)  # noqa: T201
    return code
