"""Who tells a run's days to the log."""

from pathlib import Path

from live_events import account

from predelinquency.ground.core import DAY_MS
from predelinquency.live.door import open_log
from predelinquency.ops.telling import Sent, send_told


def test_a_batch_ends_with_its_day(tmp_path: Path) -> None:
    "Stamped at the time of a batch's last event, what came before midnight would be known a day later."
    midnight, log = 20_000 * DAY_MS, open_log(f"sqlite:///{tmp_path}/log.db")
    told = [Sent(midnight + at, account(n)) for n, at in enumerate((-60_000, -1_000, 0, 60_000))]
    waits: list[float] = []
    stamps = [[a.arrived_at - midnight for a in answers] for answers in send_told(log, told, 0.001, pause=waits.append)]
    assert stamps == [[-1_000, -999], [60_000, 60_001]]
    assert len(stamps) == 2 and waits == [61_000 / (0.001 * DAY_MS)]
    began = [
        (e.event.row["began_at"] - midnight, e.arrived_at - midnight)
        for e in log.read(5, 0, 99)
        if e.event.kind == "day"
    ]
    assert began == [(day * DAY_MS, day * DAY_MS) for day in (-1, 0, 1)]
    log.close()
