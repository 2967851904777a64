"""The model-risk pack: every figure is asked of the run, what the run lacks is said, and the same run gives the same bytes."""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict

import pytest
import yaml

from predelinquency.ground import params
from predelinquency.ground.core import ParamsError, StoreError, project_folder
from predelinquency.judge import lineage as judge_lineage
from predelinquency.judge import pack, pictures, teller

PROJECT = project_folder()
TEMPLATES = sorted(teller.WORDS.glob("*.md"))


def files():
    "What a small run leaves."
    manifest = dict(
        champion="xgboost",
        challenger="lightgbm",
        version="0123456789ab",
        features=["balance", "gambling_count_60d"],
        calibrations=dict(xgboost=dict(kind="platt")),
        rounds=dict(xgboost=84),
        threshold=0.04115,
        seed=5,
        data=dict(panel="aa"),
        libraries=dict(numpy="2.4"),
        package=dict(sources="beef", version="0.1"),
        contact_share=0.05,
        rows={"test": dict(customers=9, rows=90, usable=80, positives=3, onsets=2)},
        params=dict(
            train=dict(learner="xgboost"),
            base=dict(contact_share=0.05, horizon_from_days=15, horizon_to_days=28, grace_days=5, min_history_days=90),
        ),
    )
    metrics = dict(
        headline=dict(auc=0.9177, auc_low=0.8719, auc_high=0.9329, onsets=101, customers=2441),
        bootstrap=dict(replicates=400),
        baselines=dict(calendar=dict(auc=0.8041, low=0.7762, high=0.8329)),
        reference=dict(auc=None, difference=None, why="a reference is only run on a bank's own files"),
        tripwires=dict(shuffled_labels=True, money_conserved=True),
        gain_over_logistic=dict(auc=0.014, low=-0.003, high=0.027),
        calibration=dict(observed_expected=1.2),
    )
    lineage = dict(
        parameters="cafe",
        raw=dict(customers="11"),
        features=dict(panel="aa"),
        features_as_trained=True,
        lock=dict(why="no DVC here"),
    )
    source = dict(marginals=dict(self_cure_30d=0.66), customers=10_000, inside=19, bands=19)
    return dict(
        metrics=metrics,
        model=judge_lineage.about_model(manifest),
        pack=asdict(params.load(PROJECT / "params.yaml").pack),
        lineage=lineage,
        source=source,
        period=dict(judged_from="2025-04-01", judged_to="2025-05-27", latest="2025-07-01", expires="2026-07-01"),
    )


def text(told, drawn=None):
    return pack.markdown(told, drawn or {})[0]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_no_template_holds_a_figure_of_its_own(path):
    bare = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", path.read_text(), flags=re.S)
    assert re.findall(r"\d[\d.,]*\s*%|\d*\.\d+|\b\d{2,}\b", bare.replace("95% interval", "")) == []


def test_a_figure_that_changes_in_the_run_changes_in_the_pack():
    told = files()
    before = text(told)
    told["metrics"]["headline"]["auc"] = 0.1234
    after = text(told)
    assert "0.918" in before and "0.918" not in after and "0.123, 95% interval 0.872 to 0.933" in after


def test_a_measure_that_nobody_knew_of_appears_by_itself():
    told = files()
    told["metrics"]["zebra"] = dict(stripes=41)
    assert "| zebra › stripes | 41 |" in text(told) and "zebra" not in text(files())


def test_what_the_run_did_not_produce_is_said_with_the_reason_and_never_filled_in():
    words, about = pack.markdown(files(), {})
    assert (
        "| a reference model on plain aggregates | *absent: a reference is only run on a bank's own files* |" in words
    )
    assert "| Share of the latent bound reached | *absent: `oracle.share_of_latent` is not in metrics.json* |" in words
    assert "this run has left no explain.json" in words and "metrics.oracle.latent_auc" in about["absent"]
    assert not re.search(
        r"\bnan\b|\bNone\b(?! is)|^\| [^|]+ \| *\||\{\{|undefined", words.split("## Principles")[0], re.M
    )


@pytest.mark.parametrize("name", ["metrics", "source", "train", "featurize", "explain", "decide"])
def test_a_pack_is_written_even_when_a_whole_file_is_missing(name):
    told = files()
    told.pop(name, None)
    words, about = pack.markdown(told, {})
    assert f"this run has left no {teller.FILES[name]}" in words and about["absent"]


def test_an_alternative_path_is_used_only_where_the_first_is_not_there():
    told = files()
    told["metrics"]["headline"] |= dict(slope=0.9, slope_low=0.8, slope_high=1.1)
    assert "0.90, 95% interval 0.80 to 1.10" in text(told)
    told["metrics"]["calibration"] |= dict(slope=0.7, slope_low=0.6, slope_high=0.8)
    assert "0.70, 95% interval 0.60 to 0.80" in text(told) and "0.90, 95% interval" not in text(told)


def test_a_bound_is_said_with_its_standard_error():
    told = files()
    told["metrics"]["oracle"] = dict(latent_auc=0.95, latent_auc_se=0.004)
    assert "0.950, standard error 0.004" in text(told)


def test_a_limit_is_kept_at_its_edge_broken_beyond_it_and_neither_without_a_figure():
    verdict = {c["words"]: c["verdict"] for c in judge_lineage.criteria(files())}
    assert verdict["gain over a logistic scorecard, lower end"] == "within"  # exactly at -0.003
    assert verdict["observed over expected"] == "**outside**"
    assert verdict["the same reasons under other seeds"] == "*absent*"
    told = files()
    told["metrics"]["gain_over_projected"] = dict(low=0.0)
    assert {c["words"]: c["verdict"] for c in judge_lineage.criteria(told)}[
        "gain over the projected balance, lower end"
    ] == "**outside**"  # more than nothing


def test_every_limit_names_a_parameter_and_every_limit_of_the_parameters_is_used():
    named = {
        one[key]
        for one in yaml.safe_load((teller.WORDS / "limits.yaml").read_text())
        for key in ("at_least", "above", "at_most")
        if key in one
    }
    assert named == {key for key in asdict(params.load(PROJECT / "params.yaml").pack) if key.endswith(("_min", "_max"))}
    with pytest.raises(ParamsError, match="section pack"):
        judge_lineage.criteria(files() | dict(pack={}))


def test_a_broken_tripwire_stands_on_the_first_page():
    told = files()
    assert "| Tripwires | all 2 held |" in text(told)
    told["metrics"]["tripwires"]["money_conserved"] = False
    words, about = pack.markdown(told, {})
    assert r"| Tripwires | **1 of 2 not held: money\_conserved** |" in words and about["tripwires_held"] is False


def test_words_from_a_bank_cannot_become_markup():
    told = files()
    told["pack"] |= dict(owner="<script>alert(1)</script> | x\n## Heading", intended_use="[a](http://example.org) *b*")
    page = pack.html(text(told), {})
    assert "<script" not in text(told) and "\n## Heading" not in text(told)
    assert "<script" not in page and "## Heading" not in re.sub("<[^>]+>", "", page).split("Summary")[0]
    assert 'href="http' not in page and "<em>b</em>" not in page and "&lt;script&gt;" in page


def test_the_page_asks_for_nothing_from_outside_and_every_link_leads_somewhere():
    svg = pictures.pictures(files(), "nowhere")
    page = pack.html(text(files(), svg), svg)
    asked = re.findall(r"""(?:src|href)=["']([^"']+)""", page) + re.findall(r"url\(([^)]+)\)|@import\s+(\S+)", page)
    assert [a for a in asked if not str(a).startswith(("#", "data:"))] == [] and "<script" not in page
    ids = set(re.findall(r'id="([^"]+)"', page))
    assert {a[1:] for a in asked if str(a).startswith("#")} <= ids and "data:image/svg+xml;base64," in page


def test_the_same_run_gives_the_same_bytes_in_another_process(tmp_path):
    (tmp_path / "files.json").write_text(json.dumps(files()))
    code = "import json, sys; from predelinquency.judge import pack, pictures; f = json.load(open(sys.argv[1])); pack.write_pack(sys.argv[2], f, pictures.pictures(f, 'nowhere'))"
    for i in (1, 2):
        env = os.environ | {"PYTHONHASHSEED": str(i)}
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "files.json"), str(tmp_path / f"pack{i}")], check=True, env=env
        )
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / f"pack{i}").iterdir()} for i in (1, 2))
    assert one == two and set(one) == {"model-card.html", "model-card.md", "pack.json", "beside.svg"}


def test_both_frameworks_are_there_line_by_line_and_no_line_says_that_it_is_met():
    found = {
        f["name"].split(" ")[0]: [line["id"] for line in f["lines"]]
        for f in judge_lineage.frames(teller.Teller(files()))
    }
    assert set(found["SR"]) == {"II", "III", "IV", "V", "VI", "VII"}
    assert found["PRA"] == [
        "1.1",
        "1.2",
        "1.3",
        *(f"2.{i}" for i in range(1, 7)),
        *(f"3.{i}" for i in range(1, 7)),
        *(f"4.{i}" for i in range(1, 6)),
        "5.1",
        "5.2",
        "5.3",
    ]
    lines = [line for f in judge_lineage.frames(teller.Teller(files())) for line in f["lines"]]
    assert all(line["evidence"] and line["asks"] and line["state"] for line in lines)
    assert not [
        line for line in lines if re.search(r"\b(met|compliant|complies|satisfied)\b", line["state"] + line["evidence"])
    ]


def test_a_line_without_figures_in_this_run_says_so():
    states = {line["title"]: line["state"] for f in judge_lineage.frames(teller.Teller(files())) for line in f["lines"]}
    assert (
        states["Model use"] == "*absent*"
        and states["Internal Audit"] == "the bank's part"
        and states["Conceptual soundness"] == "in this run, *absent in part*"
    )


def test_a_lock_of_another_run_is_not_taken_for_this_one(tmp_path):
    out = tmp_path / "metrics.json"
    out.write_text("{}")
    lock = tmp_path / "dvc.lock"
    assert "not made by DVC" in judge_lineage.locked(lock, [out])["why"]
    lock.write_text(
        yaml.safe_dump(
            dict(stages=dict(evaluate=dict(outs=[dict(path="metrics.json", md5="99914b932bd37a50b983c5e7c90ae93b")])))
        )
    )
    assert judge_lineage.locked(lock, [out]) == {"metrics.json": "99914b932bd37a50b983c5e7c90ae93b"}
    assert judge_lineage.locked(lock, [os.path.relpath(out)]) == judge_lineage.locked(lock, [out]), (
        "however the run names its files"
    )
    out.write_text("{ }")
    assert "another run" in judge_lineage.locked(lock, [out])["why"]


def test_no_pack_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(StoreError, match="make run"):
        pack.opened(tmp_path)


def test_a_write_that_fails_leaves_the_last_pack(tmp_path):
    pack.write_pack(tmp_path / "pack", files(), {})
    before = {p.name: p.read_bytes() for p in (tmp_path / "pack").iterdir()}
    changed = files()
    changed["metrics"]["headline"]["auc"] = 0.5
    with pytest.raises(StoreError):
        pack.write_pack(tmp_path / "pack", changed, {"no such folder/beside": "<svg/>"})
    assert {p.name: p.read_bytes() for p in (tmp_path / "pack").iterdir()} == before


def test_the_run_of_the_pipeline_leaves_a_pack_of_its_own_figures(trained):
    words, about = (
        (trained / "reports/pack/model-card.md").read_text(),
        json.loads((trained / "reports/pack.json").read_text()),
    )
    metrics, manifest = (
        json.loads((trained / "reports/metrics.json").read_text()),
        json.loads((trained / "model/manifest.json").read_text()),
    )
    assert (
        f"{metrics['headline']['auc']:.3f}" in words
        and manifest["version"] in words
        and "The features on disk are those the model learned from: yes" in words
    )
    assert (
        about["expires"] == "2026-07-01" and about["judged_to"] < about["latest"] == "2025-07-01"
    )  # the world's last Tuesday that was scored; no clock
    for key, value in manifest["data"].items():
        assert value in words, key
    assert pack.opened(trained, browser=False).name == "model-card.html"


OPENED = dict(
    opened=True,
    version="0123456789ab",
    opened_on="2026-01-05",
    by="A <b>N</b> Owner",
    reason="before the first use",
    versions=2,
    onsets=812,
    customers=20_000,
    rehearsal=False,
    words="opened on 2026-01-05 by A Owner: AUC 0.909",
    judged_from="2025-04-01",
    judged_to="2025-05-27",
    figures=dict(
        headline=dict(auc=0.909, auc_low=0.901, auc_high=0.917),
        calibration=dict(observed_expected=1.031, observed_expected_low=0.9, observed_expected_high=1.1),
    ),
)


def test_the_final_hold_out_is_shown_beside_the_evaluation_or_said_to_be_unopened():
    shown = text(files() | dict(final=OPENED))
    assert (
        "| AUC | 0.909, 95% interval 0.901 to 0.917 | 0.918 |" in shown
        and "Opened on 2026-01-05 by A &lt;b&gt;N&lt;/b&gt; Owner: before the first use." in shown
    )
    assert (
        "opened for 2 versions of the model" in shown
        and "a rehearsal" not in shown
        and shown.count("opened on 2026-01-05 by A Owner: AUC 0.909") >= 2
    ), "summary and card"
    assert "a rehearsal" in text(files() | dict(final=OPENED | dict(rehearsal=True, versions=1)))
    closed = text(files() | dict(final=dict(opened=False, versions=0, words="not opened for this version")))
    assert (
        "**not opened for this version**" in closed
        and "| Final hold-out | not opened for this version |" in closed
        and "which nothing else may touch: not opened for this version." in closed
    )


def test_a_shock_is_shown_with_and_without_or_said_to_be_absent():
    told = files()
    told["metrics"]["shock"] = dict(
        auc=0.871,
        auc_low=0.85,
        auc_high=0.89,
        auc_calm=0.91,
        lost_auc=0.039,
        lost_auc_low=0.02,
        lost_auc_high=0.06,
        observed_expected=1.8,
        observed_expected_low=1.6,
        observed_expected_high=2.0,
        observed_expected_calm=1.02,
        recall=0.5,
        recall_calm=0.6,
        onsets=240,
        onsets_calm=130,
        customers=3000,
        begins="2025-04-01",
        work=4.0,
        prices=1.08,
        by_month={"2025-04": dict(auc=0.88, auc_low=0.85, auc_high=0.9, auc_calm=0.91)},
    )
    shown = text(told)
    assert (
        "| AUC | 0.871, 95% interval 0.850 to 0.890 | 0.910 |" in shown
        and "They miss 240 payments instead of 130" in shown
        and "| 2025-04 › auc | 0.88 | 0.85 to 0.9 |" in shown
    )
    told["metrics"]["shock"] = dict(auc=None, why="a shock needs a simulated world")
    assert "### Months in which everybody is hit\n\n*absent: a shock needs a simulated world*" in text(told)


def sides(value, low, high, name="observed_expected"):
    return {name: value, f"{name}_low": low, f"{name}_high": high}


HABIT = "the same, above what a habit of naming the same groups earns at most"


@pytest.mark.parametrize(
    "reasons, verdict",
    [
        (dict(perturb_hit_rate=0.95, perturb_hit_rate_shuffled_high=0.93), "within"),
        (dict(perturb_hit_rate=0.93, perturb_hit_rate_shuffled_high=0.93), "**outside**"),
        (dict(perturb_hit_rate=0.95), "*absent*"),
        (dict(perturb_hit_rate=None, why="no truth"), "*absent*"),
    ],
)
def test_a_hit_rate_has_to_lie_above_what_habit_earns_in_the_same_run(reasons, verdict):
    told = files()
    told["metrics"]["reasons"] = reasons
    assert {c["words"]: c["verdict"] for c in judge_lineage.criteria(told)}[HABIT] == verdict
    assert "among the three largest changes" in text(told) and "whose added cause is among" not in text(told)


AUDIT = dict(
    sex=dict(
        impact_ratio=0.95,
        impact_ratio_low=0.9,
        impact_ratio_high=0.99,
        opportunity_ratio=0.7,
        opportunity_ratio_low=0.6,
        opportunity_ratio_high=0.9,
    ),
    age_band=dict(
        impact_ratio=0.16,
        impact_ratio_low=0.1,
        impact_ratio_high=0.19,
        opportunity_ratio=0.8,
        groups={
            "18-24": dict(rows=900, offered=0.091, found=0.7, missed=0.013, said=0.0125),
            "65 | up": dict(rows=800, offered=0.0141, found=None),
        },
    ),
)


def test_each_protected_attribute_has_a_limit_and_what_lies_below_it_is_said_with_its_interval():
    told = files()
    told["metrics"]["fairness"] = AUDIT
    verdict = {c["words"].split(",")[0]: c["verdict"] for c in judge_lineage.criteria(told)}
    assert [
        verdict[f"{what} by {whom}"] for whom in ("sex", "age band") for what in ("share offered help", "misses found")
    ] == ["within", "**outside**", "**outside**", "within"]
    shown = text(told)
    assert (
        "Below the limit: sex, misses found 0.70, 95% interval 0.60 to 0.90, an interval that includes the limit of 0.80; "
        "age band, share offered help 0.16, 95% interval 0.10 to 0.19, an interval that excludes the limit of 0.80."
        in shown
    )
    assert (
        "| 18-24 | 900 | 9.10% | 70% | 1.30% | 1.25% |" in shown
        and r"| 65 \| up | 800 | 1.41% | *absent: it could not be worked out* |" in shown
    )
    assert (
        "groups › " not in shown.split("## Fairness")[1].split("## Tripwires")[0]
        and "**Outside**: observed over expected; share offered help by age band" in shown
    )
    told["metrics"]["fairness"] = dict(sex=AUDIT["sex"] | dict(opportunity_ratio=0.85))
    assert "No ratio lies below its limit." in text(told)


def test_a_score_that_has_moved_is_said_to_have_moved():
    told = files()
    told["metrics"]["drift"] = dict(inputs=183, inputs_moved=81, score_psi=0.006, score_limit=0.005)
    assert (
        "**The score has moved:** its index of 0.006 lies above its limit of 0.005. 81 of 183 inputs lie above theirs."
        in text(told)
    )
    told["metrics"]["drift"] |= dict(score_psi=0.005)
    assert "has not moved beyond its limit" in text(told)


@pytest.mark.parametrize(
    "low, level, head",
    [
        (0.9, (1.1, 0.99, 1.2), "**Confirmed.** "),
        (0.9, (1.1, 1.03, 1.17), "**Confirmed in the ranking, not in the level.** "),
        (0.7, (1.1, 0.99, 1.2), "**Not confirmed.** "),
    ],
)
def test_a_hold_out_confirms_only_what_it_confirms(low, level, head):
    opened = OPENED | dict(
        figures=dict(headline=dict(auc=0.909, auc_low=low, auc_high=0.92), calibration=sides(*level))
    )
    shown = text(files() | dict(final=opened))
    assert head in shown and (
        "The level is not: observed over expected 1.10, 95% interval 1.03 to 1.17, which excludes one." in shown
    ) == ("not in the level" in head)
    assert "**Confirmed" not in text(
        files() | dict(final=dict(opened=False, versions=0, words="not opened for this version"))
    )


def test_a_slice_whose_level_is_off_is_named():
    told = files()
    told["metrics"]["slices"] = dict(
        due=dict(card=sides(1.14, 1.04, 1.23), rent=sides(1.1, 0.99, 1.2)), tenure=dict(longer=dict(auc=0.9))
    )
    assert (
        "By kind of customer. The interval of observed over expected excludes one in 1 of 2 of them (luck alone would do so in about one of twenty): due › card 1.14, 95% interval 1.04 to 1.23."
        in text(told)
    )
    told["metrics"]["calibration"] = sides(1.02, 0.9, 1.1) | sides(0.96, 0.93, 0.99, "slope")
    assert "The interval excludes what is right: the slope 0.96, 95% interval 0.93 to 0.99." in text(told)


def test_the_bound_stands_beside_the_model_on_its_own_rows_with_two_errors_either_way(monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "_svg", lambda name, figure: drawn.append(figure) or "<svg/>")
    told = files()
    told["metrics"]["oracle"] = dict(latent_auc=0.95, latent_auc_se=0.01, model_auc=0.9, model_auc_se=0.02, rows=700)
    pictures.pictures(told, "nowhere")
    axes = drawn[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][-2:] == [
        "latent bound, on its rows",
        "the model, on those rows",
    ]
    bars = [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    assert bars[-2:] == [pytest.approx([0.9304, 0.9696]), pytest.approx([0.8608, 0.9392])]


def test_the_floor_of_the_calibration_lies_below_all_that_was_observed(monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "_svg", lambda name, figure: drawn.append(figure) or "<svg/>")
    pictures._calibration(
        pack.pd.DataFrame(
            dict(predicted=[0.003, 0.05], observed=[0.0002, 0.04], low=[0.0001, 0.03], high=[0.002, 0.06])
        )
    )
    points = [y for line in drawn[0].axes[0].lines if line.get_marker() == "o" for y in line.get_ydata()]
    assert min(points) == 0.0002 and drawn[0].axes[0].get_ylim()[0] < 0.0002


def test_a_source_judged_in_folds_gets_the_true_reason_and_what_was_measured_elsewhere():
    told = files()
    told["model"]["rows"] = dict(fold=told["model"]["rows"]["test"])
    told["metrics"] |= dict(
        oracle=dict(latent_auc=None, why="needs a truth"), reasons=dict(perturb_hit_rate=None, why="needs a truth")
    )
    told["explain"] = dict(deletion_over_gain=0.34, deletion_over_gain_low=0.25, deletion_over_gain_high=0.43)
    shown = text(told)
    assert (
        "highest gain, log-odds | 0.34, 95% interval 0.25 to 0.43 |" in shown
        and "Jaccard of the top three) | *absent: it is not measured for a source judged in folds* |" in shown
    )
    assert (
        teller.lookup(told, "metrics.sweep").why == "needs a truth"
        and teller.lookup(told, "metrics.drift.score_psi").why == teller.FOLDED
        and "customers that nothing was fitted on" not in shown
    )


def test_bands_are_shown_with_their_sources_and_only_published_ones_are_called_so():
    told = files()
    told["source"]["calibration"] = [
        dict(name="self_cure_30d", low=0.5, high=0.7, unit="share", source="expert memory"),
        dict(name="spend_food", low=0.1, high=0.17, unit="share", source="BLS CEX: 12.9 %"),
    ]
    assert "| self cure 30d | 0.66 | 0.5 to 0.7 | share | expert memory |" in text(
        told
    ) and "1 of the bands come from a published source" in text(told)
    assert "ublished band" not in text(files())


def test_days_before_a_due_stand_from_the_farthest_to_the_nearest():
    told = files()
    told["metrics"]["due"] = dict(auc=dict.fromkeys(("14", "21", "28", "3", "7"), 0.8))
    assert re.findall(
        r"^\| (\d+) \| 0.8 ", text(told).split("One fixed cohort")[1].split("Months in which")[0], re.M
    ) == ["28", "21", "14", "7", "3"]


def test_a_gain_is_not_called_a_loss():
    told = files()
    told["metrics"]["shock"] = dict(auc=0.901, lost_auc=-0.008, lost_auc_low=-0.027, lost_auc_high=0.011)
    assert "| … difference, paired | +0.008, 95% interval -0.011 to +0.027 | |" in text(told)


def test_settings_that_nobody_tried_are_said_not_to_have_been():
    told = files()
    told["model"]["promotion"] = dict(learners={}, because="none", rule={})
    told["model"]["params"]["train"]["trials"] = 0
    assert "No other settings were tried in this run (`train.trials` is 0)." in text(told)
    told["model"]["params"]["train"]["trials"] = 5
    assert "No other settings" not in text(told)


def test_worlds_are_counted_without_the_bound_and_a_limit_is_no_measure():
    told = files()
    told["metrics"] |= dict(
        transfer=dict(bound=dict(a={}, b={}), a={}, b={}),
        drift=dict(inputs=9, inputs_moved=3, score_psi=0.1, score_limit=0.2),
    )
    said = {line["title"]: line["figures"] for f in judge_lineage.frames(teller.Teller(told)) for line in f["lines"]}
    assert (
        said["Model development testing"].endswith("worlds of the transfer 2")
        and "inputs that moved 3; of 9" in said["Ongoing model monitoring"]
    )


def test_what_hiding_does_is_said_from_the_figures():
    told = files()
    worlds = [
        dict(
            hidden_share=share,
            base_rate=0.01,
            latent_soft_auc=bound,
            latent_soft_auc_se=0.003,
            model_soft_auc=0.92,
            model_soft_auc_se=0.005,
        )
        for share, bound in ((0.7, 0.93), (0.0, 0.96))
    ]
    told["metrics"] |= dict(sweep=worlds, oracle=dict(latent_auc=0.96, replays=10))
    shown = text(told)
    assert (
        "Between 0% and 70% hidden, the latent bound goes from 0.960 to 0.930, a fall; the model goes from 0.920 to 0.920, no more than luck would move it."
        in shown
        and "Nothing here falls" not in shown
    )


def test_the_cause_s_own_group_and_the_stresses_without_a_twin_are_said():
    told = files()
    told["source"]["stresses"] = 3
    told["metrics"]["reasons"] = dict(
        perturb_own_group=0.36,
        perturb_own_group_shuffled_high=0.4,
        by_stress=dict(
            job_loss=dict(cases=4, hit_rate=1.0, own_group=0.25), rate_rise=dict(cases=0, hit_rate=None, own_group=None)
        ),
    )
    shown = text(told)
    assert (
        "among the three in 36%, not more than the 40% that a habit earns at most" in shown
        and "| job loss | 4 | 100% | 25% |" in shown
    )
    assert "Kinds of stress without a twin, of which nothing is known here: 1 of 2: rate rise." in shown
    del told["metrics"]["reasons"]["by_stress"]["rate_rise"]
    assert "of which nothing is known here: 2 of 3." in text(told)


def test_strangers_and_whose_months_they_are_not_are_said():
    told = files()
    told["metrics"] |= dict(
        world=dict(strangers=20_000),
        every_month={"2025-02": dict(auc=0.83)},
        worst_month="2025-02",
        worst_month_auc=0.83,
        worst_month_auc_low=0.77,
        worst_month_auc_high=0.89,
    )
    shown = text(told)
    assert (
        "the bank's own 9 test customers, not the 20,000 strangers" in shown
        and "judged in the test customers' weeks | 20,000 |" in shown
    )
    assert (
        "| Worst month, AUC | 0.830, 95% interval 0.770 to 0.890 (2025-02; the bank's own test customers, weeks that may overlap those of training) |"
        in shown
    )
