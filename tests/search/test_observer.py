from dataclasses import replace

from pruning import Stage
from search.observer import describe_stage
from tests.search.landscape import draft, rounds


def test_a_line_on_a_network_tells_its_rounds_apart() -> None:
    first, second = rounds(0.5, 0.9)
    schedule = (first, replace(second, allocation="global"))
    stage = Stage.accept(draft(schedule, 0.75), trial=0, executed_epochs=0, sha256="")
    assert describe_stage(stage) == (
        f"front: accuracy 0.7500 with {stage.params:,} parameters (0.5/1/0.001 0.9/1/0.001/global)"
    )
