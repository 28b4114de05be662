"""The names of what accuracy can be traded against; apart, since pruning takes time to import."""

from typing import Literal, TypeAlias

CostName: TypeAlias = Literal["params", "macs", "bytes", "latency"]
"""`params`: parameters, frozen ones too. `macs`: multiply-adds for one image. `bytes`: of the fp32
state dict's tensors, buffers included. `latency`: milliseconds of a forward pass of one image."""

UNITS: dict[CostName, str] = {
    "params": "parameters",
    "macs": "multiply-adds",
    "bytes": "bytes",
    "latency": "milliseconds",
}
"""What each of them counts."""
