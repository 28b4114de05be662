"""From a results folder to a folder that needs nothing of this program."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from data import ImageData
from models import first_line
from pruning import Metrics, NonFiniteError, RoundRunner, Stage, StageStore, center_crops
from search.configuration import SearchConfig
from search.console import Console
from search.errors import RefusedError
from search.images import open_images
from search.kept import from_record
from search.loading import load_network
from search.results.folder import ResultsFolder
from search.takehome.card import Card, accuracy_table
from search.takehome.choice import Wish
from search.takehome.parcel import check_free, write_whole
from search.takehome.programs import (
    INT8,
    ONNX,
    PT2,
    check_onnx,
    exported,
    int8_file,
    of_file,
    of_module,
    onnx_file,
    pt2_file,
)
from search.takehome.proof import NETWORK, Proof, prove, prove_on_noise
from search.takehome.rehearsal import SCRIPT, rehearse, script
from search.takehome.repeating import Repeat, in_words, repeat, repeater

_CALIBRATION_IMAGES, _CALIBRATION_BATCH = 512, 32
_LIBRARIES, _ONNX_LIBRARIES = ("torch",), ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What is to be taken home.

    Attributes:
        folder: Of the results.
        which: The network's id, or what it may cost and must reach.
        out: Where to; None is a folder of the network's id within the results.
        onnx: Whether with an ONNX file.
        int8: Whether with one in 8 bits, too.
        seeds: With which the network's schedule is trained again.
    """

    folder: Path
    which: str | Wish
    out: Path | None = None
    onnx: bool = True
    int8: bool = False
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.int8 and not self.onnx:
            raise RefusedError("--int8 makes an ONNX file: leave out --no-onnx.")
        if len(set(self.seeds)) < len(self.seeds) or min(self.seeds, default=0) < 0:
            shown = " ".join(map(str, self.seeds))
            raise RefusedError(f"--repeat must be distinct numbers of at least 0, got {shown}.")


def take_home(order: Order, console: Console) -> None:
    """Write a network's folder, once its files have done what the network does.

    Raises:
        RefusedError: There is no such network, or no place for it, or a package is missing.
        MismatchError: A file does something else. Nothing was written.
        StoreError: The network is damaged.
    """
    results = ResultsFolder(order.folder)
    description = results.read()
    config = from_record(description["config"])
    store = _opened(results)
    stage = _chosen(order, store, config)
    out = order.out or order.folder / "picked" / stage.id
    check_free(out)
    if order.onnx:
        check_onnx()
    console.line(
        f"Picked {stage.id}: {stage.params:,} parameters, {stage.macs:,} multiply-adds, "
        f"validation accuracy {stage.val_accuracy:.4f}."
    )
    data = _images(config, description["data"]["fingerprint"], console)
    if data is None and (order.int8 or order.seeds):
        raise RefusedError("--int8 and --repeat need the images that the search had.")
    net = load_network(order.folder, stage.id)
    models = _models(net, order, _image_size(config), data)
    proof = _proof(net, models, stage, config, data, console)
    weights = {NETWORK: store.weights(stage.id)}
    card = Card(
        stage=_tested(stage, proof),
        config=config,
        description=description,
        measured=proof.accuracies,
        sizes={name: len(content) for name, content in (weights | models).items()},
        libraries=_LIBRARIES + (_ONNX_LIBRARIES if order.onnx else ()),
    )
    for line in accuracy_table(card):
        console.line(line)
    files = {**weights, **models, SCRIPT: script()}
    rehearse(files | card.files(), proof, card.classes)
    if data is not None and order.seeds:
        runner = repeater(config, description, store, data)
        card = replace(card, repeats=_repeats(runner, stage, order.seeds, console))
    write_whole(out, files | card.files())
    console.line(f"Written to {out}. Try: python {shlex.quote(str(out / SCRIPT))} IMAGE ...")


def _opened(results: ResultsFolder) -> StageStore:
    if not results.stages.is_dir() or len(store := StageStore(results.stages)) == 0:
        raise RefusedError(f"{results.path} has no networks yet.")
    return store


def _chosen(order: Order, store: StageStore, config: SearchConfig) -> Stage:
    if isinstance(order.which, Wish):
        return order.which.choose(list(store), config.cost)
    if order.which not in store:
        raise RefusedError(
            f"{order.folder} has no network {order.which!r}; candidates.csv names those it has."
        )
    return store[order.which]


def _images(config: SearchConfig, fingerprint: str, console: Console) -> ImageData | None:
    """The search's images, or None and a line on why the files are not tried on them."""
    try:
        data = open_images(config, console)
    except RefusedError as error:
        why = first_line(error)
    else:
        if data.fingerprint == fingerprint:
            return data
        why = f"--data {config.data} holds other images than the search had"
    console.line(f"Not checked on images, but on noise: {why}")
    return None


def _image_size(config: SearchConfig) -> int:
    if config.image_size is None:
        raise RefusedError("The configuration in search.json is damaged: it has no image size.")
    return config.image_size


def _models(
    net: nn.Module, order: Order, image_size: int, data: ImageData | None
) -> dict[str, bytes]:
    """The contents of the programs' files, by their names."""
    program = exported(net, image_size)
    models = {PT2: pt2_file(program)}
    if order.onnx:
        models[ONNX] = onnx_file(program)
    if order.int8:
        assert data is not None
        models[INT8] = int8_file(models[ONNX], _calibration(data))
    return models


def _calibration(data: ImageData) -> Iterator[Tensor]:
    """Batches of the crops of some training images, from all of them."""
    count = len(data.train)
    chosen = torch.arange(0, count, max(1, count // _CALIBRATION_IMAGES))
    for indices in torch.split(chosen, _CALIBRATION_BATCH):
        yield center_crops(data.train, indices, data.image_size).contiguous()


def _proof(
    net: nn.Module,
    models: Mapping[str, bytes],
    stage: Stage,
    config: SearchConfig,
    data: ImageData | None,
    console: Console,
) -> Proof:
    programs = {NETWORK: of_module(net)} | {
        name: of_file(name, content) for name, content in models.items()
    }
    if data is None:
        return prove_on_noise(programs, _image_size(config))
    # What was evaluated in bf16 differs from what fp32 gives by more than rounding.
    return prove(programs, stage if config.precision == "fp32" else None, data, console)


def _tested(stage: Stage, proof: Proof) -> Stage:
    """The network with its accuracy on test images, which a search tests only the front on."""
    measured = proof.accuracies.get(NETWORK, {}).get("test")
    return stage if stage.test_accuracy is not None else replace(stage, test_accuracy=measured)


def _repeats(
    runner: RoundRunner, stage: Stage, seeds: tuple[int, ...], console: Console
) -> tuple[Repeat, ...]:
    """Train a network's schedule again with each seed, and say what came of it."""
    repeats: list[Repeat] = []
    for seed in seeds:

        def show(epoch: int, metrics: Metrics, seed: int = seed) -> None:
            if console.status_is_due():
                console.status(
                    f"training with seed {seed}: epoch {epoch + 1} of a round, accuracy "
                    f"{metrics.accuracy:.4f} on training images"
                )

        try:
            repeats.append(repeat(runner, stage, seed, show))
        except NonFiniteError:
            console.line(f"Seed {seed}: training diverged.")
        else:
            console.line(f"Seed {seed}: {in_words(repeats[-1:])}.")
    if len(repeats) > 1:
        console.line(f"Mean and standard deviation: {in_words(repeats)}.")
    return tuple(repeats)
