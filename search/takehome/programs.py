"""A network as programs that other software runs: torch.export's, ONNX, and ONNX in 8 bits."""

import importlib
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models import first_line
from search.errors import RefusedError

Program = Callable[[Tensor], Tensor]
"""From images (N, 3, H, W), float32 in [0, 1], to logits (N, classes)."""

PROGRAMS = PT2, ONNX, INT8 = "model.pt2", "model.onnx", "model.int8.onnx"
"""Names of the programs' files."""

INPUT, OUTPUT = "images", "logits"
"""Names in the ONNX files."""

_BATCH = "batch"
_EXAMPLES = 2  # a batch of one would be taken for a constant
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def check_onnx() -> None:
    """Whether the packages are there that ONNX files are written and tried with.

    Raises:
        RefusedError: One is missing.
    """
    for package in _PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise RefusedError(
                f"ONNX files need the package {package}, which cannot be imported ({error}).\n"
                f"pip install {' '.join(_PACKAGES)}, or leave them out with --no-onnx."
            ) from error


def exported(net: nn.Module, image_size: int) -> torch.export.ExportedProgram:
    """A network as torch.export's program for batches of any size.

    What names files of this machine, and the example that it was traced with, are not in it.

    Args:
        net: On the CPU, in evaluation mode.
        image_size: Side of the images in pixels.

    Raises:
        RefusedError: The network cannot be traced, or not for all sizes of a batch.
    """
    example = torch.rand(_EXAMPLES, 3, image_size, image_size)
    try:
        program = torch.export.export(
            net, (example,), dynamic_shapes=({0: torch.export.Dim(_BATCH)},)
        )
    except Exception as error:  # it runs the user's network, which may raise anything
        raise RefusedError(
            f"torch.export cannot follow this network: {first_line(error)}\n"
            "search.loading.load_network loads it as it is."
        ) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    program.example_inputs = None
    return program


def pt2_file(program: torch.export.ExportedProgram) -> bytes:
    """The content of a file that `torch.export.load` reads."""
    file = io.BytesIO()
    torch.export.save(program, file)
    return file.getvalue()


def onnx_file(program: torch.export.ExportedProgram) -> bytes:
    """The content of an ONNX file.

    Raises:
        RefusedError: ONNX lacks an operation of the network.
    """
    try:
        converted = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: _BATCH},),
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        cause: BaseException = error
        while cause.__cause__ is not None:  # the last says which operation is missing
            cause = cause.__cause__
        raise RefusedError(
            f"This network cannot be converted to ONNX: {first_line(cause)}\n"
            "Leave the file out with --no-onnx."
        ) from error
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    model: Any = converted
    ClearMetadataAndDocStringPass()(model.model)  # of small networks it is half of the file
    content: bytes = model.model_proto.SerializeToString()
    return content


def int8_file(content: bytes, batches: Iterable[Tensor]) -> bytes:
    """An ONNX file whose weights and activations have 8 bits.

    Both are signed, weights with a scale for each channel, and ranges of activations those that
    they had: what ONNX Runtime's documentation says to try first. Static, because its dynamic
    quantization has no fast convolutions.

    Args:
        content: The file in fp32.
        batches: Images that ranges are taken from.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches: Iterator[Tensor] = iter(batches)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            batch = next(self._batches, None)
            return None if batch is None else {INPUT: batch.numpy()}

    with tempfile.TemporaryDirectory() as scratch:
        wide, prepared, narrow = (Path(scratch) / f"{name}.onnx" for name in "abc")
        wide.write_bytes(content)
        quant_pre_process(wide, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            narrow,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return narrow.read_bytes()


def of_module(net: nn.Module) -> Program:
    """Runs a module of torch, in the mode that it is in."""

    def run(images: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = net(images)
        return logits

    return run


def of_pt2(content: bytes) -> Program:
    """Runs the content of a file of torch.export."""
    return of_module(torch.export.load(io.BytesIO(content)).module())


def of_onnx(content: bytes) -> Program:
    """Runs the content of an ONNX file in ONNX Runtime, in as many threads as torch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        (logits,) = session.run([OUTPUT], {INPUT: images.contiguous().numpy()})
        return torch.from_numpy(logits)

    return run


def of_file(name: str, content: bytes) -> Program:
    """Runs the content of one of the programs' files."""
    return of_pt2(content) if name == PT2 else of_onnx(content)
