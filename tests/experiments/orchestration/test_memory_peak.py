from threading import Event

import pytest

from experiments.orchestration.memory_peak import available_memory, memory_peak, used_memory


def test_the_peak_outlives_what_caused_it() -> None:
    use = iter((100, 250, 700, 300))
    seen = Event()

    def used() -> int:
        now = next(use, None)
        if now is None:
            seen.set()
        return now or 120

    with memory_peak(used) as peak:
        assert seen.wait(60)
    assert (peak.before, peak.most) == (100, 700)


@pytest.mark.skipif(not used_memory(), reason="this system does not tell its memory")
def test_a_machine_has_memory_in_use_and_to_spare() -> None:
    assert used_memory() > 2**20
    assert available_memory() > 2**20
