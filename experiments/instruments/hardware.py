"""What a reader of a measurement should know of the machine it was made on."""

import os
import platform
from pathlib import Path

import torch

from search.workers.devices import usable_cores, visible_cards

_CPU_INFO = Path("/proc/cpuinfo")


def hardware_line() -> str:
    """Cores, processor, torch, GPUs, and how many processes were waiting for a core just now."""
    parts = [
        f"{usable_cores()} cores of {_processor()}",
        f"python {platform.python_version()}",
        f"torch {torch.__version__}",
    ]
    parts.append(visible_cards().names or "no GPU")
    parts.append(f"load average {os.getloadavg()[0]:.1f} when this line was written")
    return "hardware: " + ", ".join(parts)


def _processor() -> str:
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
