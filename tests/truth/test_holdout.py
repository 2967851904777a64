"""The final hold-out: nobody else meets its customers, it is opened once for a version, and its log cannot be bettered unnoticed."""

import json
import os
import shutil
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from predelinquency.ground.core import LeakageError, ParamsError, StoreError
from predelinquency.judge import alerts, openings, statistics
from predelinquency.judge import report as ev
from predelinquency.model import champion
from predelinquency.truth import holdout, strangers

FIGURES = dict(
    headline=dict(auc=0.91, auc_low=0.9, auc_high=0.92, pr_auc=0.2, recall_at_5pct=0.6),
    gain_over_calendar=dict(auc=0.11, low=0.1, high=0.12),
    calibration=dict(observed_expected=1.03),
)


def line(version="aaaa", **more):
    return (
        dict(
            version=version,
            holdout="cafe",
            rehearsal=False,
            opened_on="2026-01-05",
            by="A. Owner",
            reason="before the first use",
            figures=FIGURES,
        )
        | more
    )


@pytest.fixture
def log(tmp_path):
    for version in ("aaaa", "bbbb"):
        openings.append(tmp_path / openings.LOG, line(version))
    return tmp_path / openings.LOG


def numbers(who):
    return {i for p in who for i in (p.low, p.high - 1)}


def test_nobody_else_meets_the_customers_of_the_hold_out(settings):
    real, rehearsed = (holdout.holdout_parts(10_000, 20_000, 1_000, rehearsal) for rehearsal in (False, True))
    assert sum(p.high - p.low for p in real) == sum(p.high - p.low for p in rehearsed) == 20_000
    largest = max(numbers(strangers.parts(10_000_000, 10**9, 10**6)))
    assert largest < min(numbers(real)) and max(numbers(real)) < min(numbers(rehearsed))
    with pytest.raises(LeakageError, match="reach the hold-out's numbers"):
        holdout.holdout_parts(200_000_000, 20_000, 1_000, False)


def test_the_hold_out_of_a_small_world_is_small():
    assert (
        sum(p.high - p.low for p in holdout.holdout_parts(300, 20_000, 100, False)) == 600
        and holdout.holdout_parts(300, 0, 100, False) == []
    )


def test_a_hold_out_has_the_same_name_for_any_size_of_the_bank_and_another_one_in_another_world(settings):
    def name(base, simulate):
        return holdout.name(
            holdout.made_from(base, asdict(simulate), 7), holdout.holdout_parts(10_000, 500, 100, False)
        )

    base, simulate = settings.base, settings.simulate
    same = name(base, simulate)
    assert same == name(replace(base, contact_share=0.1, customers_per_part=7), replace(simulate, customers=99))
    others = [
        name(replace(base, seed=1), simulate),
        name(replace(base, horizon_to_days=30), simulate),
        name(base, replace(simulate, hidden_share=0.1)),
        holdout.name(holdout.made_from(base, asdict(simulate), 7), holdout.holdout_parts(10_000, 400, 100, False)),
    ]
    assert len({same, *others}) == 5


def test_the_second_opening_of_a_version_is_refused_with_what_the_first_one_said(log):
    with pytest.raises(StoreError) as refused:
        holdout.first_time(openings.read(log), "aaaa")
    for words in (
        "2026-01-05",
        "A. Owner",
        "before the first use",
        "AUC 0.910 (0.900–0.920)",
        "gain over the calendar 0.110 (0.100–0.120)",
        "recall at capacity 0.600",
    ):
        assert words in str(refused.value)
    holdout.first_time(openings.read(log), "cccc")


@pytest.mark.parametrize("harm", ["changed", "left out", "swapped", "no JSON"])
def test_a_log_that_was_bettered_is_noticed(log, harm):
    lines = log.read_text().splitlines()
    changed = {
        "changed": [lines[0].replace("0.91", "0.97"), lines[1]],
        "left out": lines[1:],
        "swapped": lines[::-1],
        "no JSON": [lines[0], lines[1][:-3]],
    }[harm]
    log.write_text("\n".join(changed) + "\n")
    with pytest.raises(StoreError, match="get the log back from git"):
        openings.read(log)


def test_a_line_that_cannot_be_written_leaves_the_log_as_it_was(log, monkeypatch):
    before = log.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreError, match="No space left"):
        openings.append(log, line("cccc"))
    assert log.read_bytes() == before and [p.name for p in log.parent.iterdir()] == [openings.LOG]


def test_an_opening_for_which_nobody_answers_is_refused():
    for by, reason in (("", "before the first use"), ("A. Owner", "because"), ("A. Owner", "x" * 201)):
        with pytest.raises(ParamsError, match="characters"):
            holdout.asked_by(by, reason)
    assert holdout.asked_by(" A.  Owner", "before\nthe first use") == ("A. Owner", "before the first use")


def test_a_version_is_worked_out_from_the_model_itself(trained, tmp_path):
    shutil.copytree(trained / "model", tmp_path / "model")
    manifest = json.loads((tmp_path / "model/manifest.json").read_text())
    assert holdout.version(tmp_path / "model") == manifest["version"]
    (tmp_path / "model/manifest.json").write_text(
        json.dumps(champion.sealed(manifest | dict(package=dict(version="9", sources="other"), threshold=0.5)))
    )
    assert holdout.version(tmp_path / "model") == manifest["version"], "code and capacity are no part of it"
    other = json.loads(json.dumps(manifest))
    next(iter(other["calibrations"].values()))["intercept"] += 0.1
    (tmp_path / "model/manifest.json").write_text(json.dumps(champion.sealed(other)))
    with pytest.raises(StoreError, match="its manifest says"):
        holdout.version(tmp_path / "model")


def test_it_says_what_the_evaluation_would_say_of_the_same_rows(trained, settings):
    predictions = pd.read_parquet(trained / "model/predictions.parquet")
    frame = statistics.checked(predictions)
    everyone = statistics.judged(frame, imminent=True)
    people = np.unique(everyone.customer_id)
    found = holdout.measure_final(
        ev.plan_report(frame, people) | alerts.lead(everyone, people), len(people), 50, settings.base.seed
    )
    whole = ev.flat(ev.report(predictions, settings.base, replace(settings.evaluate, bootstrap=50)))
    shared = {k: v for k, v in ev.flat(found).items() if k in whole}
    assert len(shared) > 25 and all(v == whole[k] for k, v in shared.items())
    assert {k for k in ev.flat(found) if k not in whole and not k.endswith(".why")} == {
        f"lead.recall_5pct_15_42d{end}" for end in ("", "_low", "_high")
    }


def test_what_a_pack_is_told(log, tmp_path):
    mine = openings.opening_state(log, "bbbb")
    assert (
        mine["opened"]
        and mine["versions"] == 2
        and mine["figures"] == FIGURES
        and "opened on 2026-01-05" in mine["words"]
    )
    openings.append(log, line("dddd", holdout="beef"))
    assert openings.opening_state(log, "dddd")["versions"] == 1 and openings.opening_state(log, "aaaa")["versions"] == 2
    other = openings.opening_state(log, "cccc")
    assert not other["opened"] and "not opened" in other["words"] and "make final" in other["words"]
    assert "a bank's own files" in openings.opening_state(tmp_path / "none.jsonl", "cccc", possible=False)["words"]


def test_no_model_of_the_fixture_was_ever_opened_by_a_run(trained):
    assert not (trained / "reports" / openings.LOG).exists() and champion.load_champion(trained / "model").version
