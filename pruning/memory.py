"""Memory that a process frees and needs again a moment later."""

import ctypes
import platform

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_KEPT_BYTES = 2**30


def keep_freed_memory() -> bool:
    """Have this process keep the memory of tensors it frees, for the next ones.

    On Linux, glibc gives a large tensor's memory back to the kernel when it is freed, and the
    kernel clears every page of the next one: a training step on the CPU, which makes the same
    tensors as the step before, then spends a third of its time on page faults. With this, up to
    1 GiB that was freed stays with the process. It is one part of what
    `experiments/speed/throughput.py` compares with the notebook's loop.

    To be called once, when a process that trains has started.

    Returns:
        Whether this system's allocator could be told; elsewhere nothing happens.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEPT_BYTES), (_TOP_PAD, _KEPT_BYTES // 64))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)
