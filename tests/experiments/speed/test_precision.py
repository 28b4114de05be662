from experiments.speed.precision import count


def test_bf16_has_further_operations_and_moves_fewer_bytes() -> None:
    """As many at every size, and bytes by the pixels."""
    steps = {
        (size, precision): count(size, 2, precision)
        for size in (16, 32)
        for precision in ("fp32", "bf16")
    }
    further = {
        size: steps[size, "bf16"].operations - steps[size, "fp32"].operations for size in (16, 32)
    }
    assert further[16] == further[32] > 0
    saved = {size: steps[size, "fp32"].moved - steps[size, "bf16"].moved for size in (16, 32)}
    assert saved[32] > saved[16]
