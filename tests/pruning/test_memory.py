import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, torch
from pruning import keep_freed_memory
told = {call}
def step():
    torch.zeros(8, 2**20).add_(1)  # 32 MiB, made and freed
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(told, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    platform.system() != "Linux" or platform.libc_ver()[0] != "glibc", reason="of glibc's malloc"
)
def test_tensors_that_are_made_again_cause_far_fewer_page_faults() -> None:
    def faults(call: str) -> int:
        script = [sys.executable, "-c", COUNT.format(call=call)]
        told, count = subprocess.run(
            script, capture_output=True, text=True, check=True
        ).stdout.split()
        assert told == str(call == "keep_freed_memory()")
        return int(count)

    assert 5 * faults("keep_freed_memory()") < faults("False")
