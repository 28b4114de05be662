"""What a reader of a measurement should know of the machine it was made on."""

import os
import platform

import torch

from pruning import processor_name
from search.workers.devices import usable_cores, visible_cards


def hardware_line() -> str:
    """Cores, processor, torch, GPUs, and how many processes were waiting for a core just now."""
    parts = [
        f"{usable_cores()} cores of {processor_name()}",
        f"python {platform.python_version()}",
        f"torch {torch.__version__}",
    ]
    parts.append(visible_cards().names or "no GPU")
    parts.append(f"load average {os.getloadavg()[0]:.1f} when this line was written")
    return "hardware: " + ", ".join(parts)
