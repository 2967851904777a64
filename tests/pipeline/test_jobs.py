"""The night's jobs on a small bank: what each leaves, that it is done once, and what rings."""

import itertools
import json
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import live_bank
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from records import AT, decision, score
from typer.testing import CliRunner

from predelinquency.decide import fallback
from predelinquency.decide.incidents import incidents
from predelinquency.ground import disk
from predelinquency.ground.core import DAY_MS, StoreError, to_date
from predelinquency.ground.following import ALERTS, FEED, LIVE_SCORES, TICKETS
from predelinquency.live.archive import open_archive
from predelinquency.live.feed import Message, feed_ends, publish
from predelinquency.live.events import Event
from predelinquency.live.lives import Lives
from predelinquency.live.door import open_log
from predelinquency.live.worker import Judge, Worker
from predelinquency.model.champion import sealed
from predelinquency.ops import replays, standin, tonight
from predelinquency.ops.cli import app
from predelinquency.ops.nights import Places, night_file
from predelinquency.ops.tonight import JOBS, do_job
from predelinquency.reasons.scorer import Scorer
from predelinquency.service.tickets import give_ticket

CUSTOMERS, DAY = 20, live_bank.BOUGHT // DAY_MS + 600  # everybody's events are over


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scorer]:
    "A folder with an archive, a log that nobody has read, and the sealed name of a model; and that model."
    root, tables = tmp_path_factory.mktemp("bank"), live_bank.bank(5, CUSTOMERS)
    live_bank.archive(root / "live", tables)
    log = open_log(f"sqlite:///{root}/live/log.db", keep_days=live_bank.KEEP_DAYS)
    live_bank.append(log, live_bank.sent(tables, 6))
    joined = dict(joined_on=(DAY - 1) * DAY_MS, segment=None, source_id="c-0", time_zone="Europe/London")
    log.append([Event("customer", 0, "core", "lately", joined)], (DAY - 1) * DAY_MS)  # months later, something happened
    log.close()
    (root / "model").mkdir()
    (root / "model/manifest.json").write_text(json.dumps(sealed(dict(version="quick", files={}))))
    return root, live_bank.scorer(tables)


@pytest.fixture
def places(bank: tuple[Path, Scorer], tmp_path: Path, judge: Callable[[Scorer], None]) -> Places:
    judge(bank[1])
    return Places(str(shutil.copytree(bank[0], tmp_path / "data")))


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Callable[[Scorer], None]:
    "Lets the jobs have this model."

    def use(scorer: Scorer) -> None:
        def made(root: str, log: Any, ledger: Any, archive: Path) -> Worker:
            return Worker(log, ledger, Lives(open_archive(archive)), Judge(scorer, live_bank.settings(), ()), "night")

        for room in (tonight, replays):
            monkeypatch.setattr(room, "worker_of", made)
        monkeypatch.setattr(tonight, "bank_now", lambda: DAY * DAY_MS + 300_000)

    return use


def rows(places: Places, table: sa.Table) -> list[Any]:
    with places.open_ledger() as book, book.engine.connect() as ask:
        return list(ask.execute(sa.select(table)))


def did(name: str, places: Places, day: int = DAY) -> tuple[str, str]:
    return do_job(name, places, to_date(day))[2:]


def test_everybody_gets_a_final_score_once_and_it_can_be_made_again(
    places: Places, bank: tuple[Path, Scorer], judge: Callable[[Scorer], None]
) -> None:
    assert did("scoring", places) == ("done", f"final scores given: {CUSTOMERS}")
    written = rows(places, LIVE_SCORES)
    assert len({s.customer_id for s in written if s.final and s.as_of == to_date(DAY)}) == CUSTOMERS
    assert did("scoring", places)[0] == "before"
    assert tonight.give_final_scores(places, DAY) == f"final scores given: {CUSTOMERS}"
    assert rows(places, LIVE_SCORES) == written, "told again after a kill, it adds nothing"

    said = f"{len(written):,} scores were made again, the same to the last bit; 0 are another model's"
    assert did("replay", places) == ("done", said) and rows(places, ALERTS) == []
    known = bank[1]
    assert known.roll is not None
    due = replace(known.roll.due, calibration={**known.roll.due.calibration, "intercept": 0.01})
    judge(Scorer(known.champion, replace(known.roll, due=due)))  # changed under the same name
    state, said = did("replay", places, DAY + 1)
    assert (state, said[:6], said[-9:]) == ("done", "score ", "; it rang") and "is not the same: " in said
    ((rang,), score) = rows(places, ALERTS), said.split()[1]
    assert (rang.rule, rang.level, rang.subject) == ("score_not_same", "now", score)
    assert rang.customer_id == int(score.partition("/")[0]) and rang.body["columns"]
    assert {*rang.body["columns"]} <= {"dues", "margin", "probability"}
    assert replays.make_again(places, DAY + 1).startswith(f"score {score}") and len(rows(places, ALERTS)) == 1


def test_partitions_of_a_worker_that_does_not_read_keep_the_job_from_ending(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    "It is not done until everybody has been scored, so it fails, and is begun again when they are free."
    from predelinquency.live.places import claim, keep_claims, release

    with pytest.raises(StoreError, match="does not take that day any more"):
        did("scoring", places, DAY - 100)
    monkeypatch.setattr(tonight, "WAIT_SECONDS", 0.0)
    with places.open_ledger() as book:
        held, over = [claim(book, p, "hung", 0, 2**60) for p in (3, 9)], threading.Event()

        def say_still_there() -> None:
            ends = itertools.count(2**60)
            while not over.wait(0.1):
                keep_claims(book, held, next(ends))

        says = threading.Thread(target=say_still_there)
        says.start()
        try:
            with pytest.raises(StoreError, match="2 partitions are held by workers that do not read"):
                did("scoring", places)
        finally:
            over.set()
            says.join()
        release(book, held)
    assert did("scoring", places)[0] == "done"


def scores(places: Places, push: float, days: int, version: str = "quick") -> None:
    "Final scores of midnights up to the day."
    draw, made = np.random.default_rng(3), []
    for n, day in enumerate(range(DAY - days + 1, DAY + 1)):
        for who in range(300):
            one = dict(customer_id=who, revision=n + 1, as_of=to_date(day), final=True, eligible=True, margin=0.0)
            one |= dict(probability=float(draw.beta(1, 20) * push), model_version=version, feature_hash="", reasons=[])
            made.append(one | dict(dues=[], incomplete=0, partition=0, position=n + 1, arrived_at=day * DAY_MS))
    with places.open_ledger() as book, book.engine.begin() as write:
        write.execute(sa.insert(LIVE_SCORES), made)


@pytest.mark.parametrize(
    ("push", "days", "end"),
    [(1.0, 28, "on 28 midnights"), (1.6, 28, "on 28 midnights; it rang"), (1.6, 5, "on 5 midnights: too few to ring")],
)
def test_scores_that_have_moved_ring(places: Places, push: float, days: int, end: str) -> None:
    draw, who = np.random.default_rng(4), np.repeat(np.arange(1_000), 3)
    judged = pd.DataFrame(
        dict(customer_id=who, as_of=np.tile(pd.to_datetime(["2025-05-01", "2025-05-13", "2025-05-27"]), 1_000))
    )
    judged = judged.assign(probability=draw.beta(1, 20, len(who)), split="test", eligible=True)
    judged.loc[judged.index % 3 == 0, ["split", "probability"]] = ["live", 0.99]  # was not judged by these
    judged.to_parquet(Path(places.root) / "model/predictions.parquet")
    assert did("drift", places)[1] == "model quick has given no final score of these weeks"
    scores(places, push, days)
    said = tonight.watch_drift(places, DAY)
    assert re.fullmatch(rf".* since approval, {end}; [\d.]+ since yesterday", said), said
    both = json.loads(night_file(places, DAY, "drift.json").read_text())
    found, night = both["since_approval"], both["since_yesterday"]
    assert night["times"] < 3 and night["customers"] == 300, "what slides every night has not jumped"
    assert (found["times"] >= 1) == (push > 1) and (found["days"], found["model"]) == (days, "quick")
    assert [(a.rule, a.period) for a in rows(places, ALERTS)] == [("score_moved", DAY // 7)] * end.endswith("rang")


def test_scores_that_jump_in_one_night_ring_although_they_have_hardly_moved_in_weeks(places: Places) -> None:
    draw = np.random.default_rng(4)
    judged = pd.DataFrame(dict(customer_id=range(3_000), as_of=pd.Timestamp("2025-05-01"), split="test", eligible=True))
    judged = judged.assign(probability=draw.beta(1, 20, len(judged)))
    judged.to_parquet(Path(places.root) / "model/predictions.parquet")
    scores(places, 1.0, 28)
    with places.open_ledger() as book, book.engine.begin() as write:
        c = LIVE_SCORES.c
        ask = sa.select(LIVE_SCORES).where(c.as_of == to_date(DAY))
        last = [dict(row) for row in write.execute(ask).mappings()]
        more = dict(as_of=to_date(DAY + 1), arrived_at=(DAY + 1) * DAY_MS)
        added = [
            row | more | dict(revision=99, position=99, probability=min(1.0, row["probability"] * 2.5)) for row in last
        ]
        write.execute(sa.insert(LIVE_SCORES), added + [added[0] | dict(customer_id=900)])
    said = tonight.watch_drift(places, DAY + 1)
    found = json.loads(night_file(places, DAY + 1, "drift.json").read_text())
    assert found["since_approval"]["times"] < 1 and found["since_yesterday"]["times"] >= 3, said
    assert found["since_yesterday"]["customers"] == 300, "who was not there yesterday has not moved"
    assert said.endswith(" since yesterday; it rang")
    assert [a.rule for a in rows(places, ALERTS)] == ["score_jumped"]


def test_messages_and_tickets_that_have_had_their_time_go_and_records_stay(places: Places) -> None:
    with places.open_ledger() as book:
        book.append([decision()], AT)
        for day in (DAY - 8, DAY - 7, DAY):
            with book.engine.begin() as write:
                publish(write, [Message("score", 1, day * DAY_MS, {})])
        give_ticket(book, DAY * DAY_MS - 30_000, "ann")
        give_ticket(book, DAY * DAY_MS - 29_000, "ann")
    assert did("expiry", places) == ("done", "1 message left the feed, 1 ticket had ended")
    assert [m.n for m in rows(places, FEED)] == [2, 3] and len(rows(places, TICKETS)) == 1
    with places.open_ledger() as book:
        assert feed_ends(book).gone == 1 and book.of(type(decision())) == [decision()]
    assert did("expiry", places)[0] == "before"


def test_a_plan_of_another_night_is_not_written_down(places: Places) -> None:
    (Path(places.root) / "reports").mkdir()
    plan = pd.DataFrame(dict(as_of=pd.to_datetime(["2025-06-18"])))
    plan.to_parquet(Path(places.root) / "reports/plan.parquet")
    with pytest.raises(StoreError, match=f"the plan is of 2025-06-18, not of {to_date(DAY)}"):
        did("plan", places)


def test_a_night_does_what_it_can_says_what_it_could_not_and_leaves_a_page(places: Places) -> None:
    words = ["jobs", "night", "--day", to_date(DAY), "--root", places.root, "--json"]
    done = CliRunner().invoke(app, words)
    told = {one["job"]: one for one in json.loads(done.stdout)}
    assert done.exit_code == 1 and list(told) == list(JOBS)
    assert {name for name, one in told.items() if one["state"] == "failed"} == {"plan", "drift"}
    page = json.loads(night_file(places, DAY, "digest.json").read_text())
    assert (page["live_customers"], page["lag"]["events"], page["waiting"] > 0) == (CUSTOMERS, 0, True)
    assert {name: said.partition(":")[0] for name, said in page["jobs"].items()} == {
        **dict.fromkeys(("scoring", "stand_in", "replay", "expiry"), "done"),
        **dict.fromkeys(("plan", "drift"), "failed"),
    }
    text = night_file(places, DAY, "digest.md").read_text()
    assert f"- live customers: {CUSTOMERS}\n" in text and "- plan: failed: there is no reports/plan.parquet" in text
    with places.open_ledger() as book:
        assert not incidents(book), "once is none"
    again = {one["job"]: one["state"] for one in json.loads(CliRunner().invoke(app, words).stdout)}
    assert set(again.values()) == {"failed", "before"} and again["digest"] == "before"
    with places.open_ledger() as book:
        opened = {one.came_from: one.steps[0][1].words for one in incidents(book)}
    assert set(opened) == {f"job {name} of {to_date(DAY)}" for name in ("plan", "drift")}
    assert all("failed 2 times" in words for words in opened.values())
    assert {(a.rule, a.subject, a.level) for a in rows(places, ALERTS)} == {
        ("job_failed", name, "now") for name in ("plan", "drift")
    }
    listed = json.loads(CliRunner().invoke(app, ["jobs", "list", "--root", places.root, "--json"]).stdout)
    assert sorted((run["job"], run["nth"]) for run in listed if run["job"] in ("plan", "digest")) == [
        ("digest", 1),
        ("plan", 1),
        ("plan", 2),
    ]


def test_where_no_log_was_begun_a_night_is_no_failure_of_the_log(tmp_path: Path) -> None:
    "A bank that works by night only has nothing to score by day, and no log is made for it."
    places = Places(str(tmp_path))
    assert [did(name, places)[0] for name in ("scoring", "replay", "expiry", "digest")] == ["done"] * 4
    assert not (tmp_path / "live/log.db").exists()


@pytest.fixture
def rule(monkeypatch: pytest.MonkeyPatch) -> None:
    "Somebody has approved the shipped rule as it stands."
    shipped = fallback.load_fallback()
    approved = dict(by="anna", day="2026-03-02", says=shipped.says)
    monkeypatch.setattr(fallback, "load_fallback", lambda: shipped._replace(approved=approved))


def dues_of(places: Places, day: int, late: float = 0.5) -> None:
    "The features of three payments at a midnight: one is paid by hand, and late; of one nothing is known."
    plain = dict(asked_autopay=[0, 1, np.nan], asked_late_share=[late, 0.0, np.nan])
    plain |= dict(asked_days_late_last=[8 * late, 0, np.nan])
    rows = pd.DataFrame(
        plain | dict(balance_over_asked_due=[8 * (0.5 - late) + 0.3, 4.0, np.nan], asked_lead_days=[17, 20, 3])
    )
    names = dict(customer_id=[4, 5, 6], obligation_id=[41, 51, 61], instalment=[1, 2, 3])
    rows = rows.assign(**names, as_of=pd.Timestamp(to_date(day)), split="live")
    folder = Path(places.root) / "features/dues"
    folder.mkdir(parents=True)
    rows.to_parquet(folder / disk.Part(0, 10).file)


@pytest.mark.usefixtures("rule")
def test_where_no_model_has_scored_an_approved_rule_names_payments_and_it_rings_once(places: Places) -> None:
    dues_of(places, DAY)
    said = f"no model has scored: the rule that anna approved names 1 of 3 payments, see live/nights/{to_date(DAY)}"
    assert did("stand_in", places) == ("done", f"{said}/stand_in.csv; it rang")
    (named,) = pd.read_csv(night_file(places, DAY, "stand_in.csv")).to_dict("records")
    assert (named["customer_id"], named["lead_days"], named["points"]) == (4, 17, 6)
    assert named["because"].startswith("it is paid by hand; ")
    assert standin.stand_in(places, DAY).endswith("stand_in.csv"), "begun again, it does not ring again"
    assert [(a.rule, a.body["value"]) for a in rows(places, ALERTS)] == [("rule_stands_in", 1)]


@pytest.mark.usefixtures("rule")
def test_a_list_on_which_nobody_stands_says_so_and_rings_all_the_same(places: Places) -> None:
    dues_of(places, DAY, late=0.0)
    assert "names 0 of 3 payments" in standin.stand_in(places, DAY)
    assert (
        night_file(places, DAY, "stand_in.csv").read_text().startswith("customer_id,obligation_id,instalment,lead_days")
    )
    assert [(a.rule, a.body["value"]) for a in rows(places, ALERTS)] == [("rule_stands_in", 0)]


@pytest.mark.usefixtures("rule")
def test_a_rule_does_not_stand_in_beside_a_model_nor_on_old_tables(places: Places) -> None:
    dues_of(places, DAY - 1)
    with pytest.raises(StoreError, match=f"the features are of {to_date(DAY - 1)}, not of {to_date(DAY)}"):
        did("stand_in", places)
    assert not night_file(places, DAY, "stand_in.csv").exists()
    scores(places, 1.0, 1)
    assert did("stand_in", places) == ("done", "a model has scored this midnight, so no rule stands in")


def test_scores_of_the_nightly_run_count_as_well(places: Places) -> None:
    with places.open_ledger() as book:
        book.append([score(as_of=to_date(DAY))], AT)
    assert [standin.has_scored(places, DAY + n) for n in (-1, 0, 1)] == [False, True, False]


def test_a_rule_that_nobody_approved_does_not_stand_in(places: Places) -> None:
    dues_of(places, DAY)
    with pytest.raises(fallback.PolicyError, match="nobody has approved the rule"):
        did("stand_in", places)
    assert not night_file(places, DAY, "stand_in.csv").exists() and rows(places, ALERTS) == []
