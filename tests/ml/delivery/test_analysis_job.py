from pathlib import Path

import pytest

from ml.delivery.analysis_job import Task, way_out
from ml.delivery.promise import Promise


@pytest.mark.parametrize(("back", "command"), [("blue", "mlp rollback"), (None, "mlp release stage")])
def test_the_way_out_can_be_gone(back, command):
    task = Task(
        stack="prod",
        slot="green",
        back=back,
        directory=Path("releases/flights-0002"),
        champion=None,
        prometheus="http://none",
        promise=Promise(),
    )

    assert way_out(task).startswith(command)
    assert "--stack prod" in way_out(task)
