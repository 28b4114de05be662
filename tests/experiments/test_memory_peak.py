import time

import pytest
from memory_peak import memory_peak, used_memory


@pytest.mark.skipif(not used_memory(), reason="this system does not tell its memory")
def test_the_peak_outlives_what_caused_it() -> None:
    size = 2**29  # other processes come and go; half a gigabyte stands out
    with memory_peak() as peak:
        block = bytearray(b"x") * size
        time.sleep(0.5)
        del block
    assert peak.most - peak.before > size / 2
