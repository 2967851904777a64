"""A proof at full length is taken over by the run it belongs to, and by no other."""

import json
import subprocess
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from predelinquency.ground.core import StoreError
from predelinquency.judge import achieved
from predelinquency.ops import stages as ops_stages
from predelinquency.truth import forks, oracle, worlds
from predelinquency.truth import kept as truth_kept

RECIPE = dict(
    base=dict(seed=1, grace_days=5, contact_share=0.05, customers_per_part=1000),
    simulate=dict(customers=100, hidden_share=0.5, calibration=[dict(name="x", low=0)]),
)
MANIFEST = dict(
    params=dict(base=RECIPE["base"], train=dict(max_depth=3, trees=300)),
    data=dict(panel="ab", labels="cd"),
    version="ef",
)
NOW = truth_kept.identity(RECIPE, MANIFEST, 7)
SHORT = dict(
    oracle=dict(latent_auc=0.95, soft_auc=0.92, replays=1200, share_of_latent=0.9, not_below_model=True),
    reasons=dict(jaccard=0.9),
    tripwires=dict(oracle_not_below_model=True, money_conserved=True),
)
ASKED = {
    "latent_auc",
    "visible_auc",
    "soft_auc",
    "replays",
    "share_of_latent",
    "share_of_visible",
}  # names that metrics.json promises


def measured() -> dict:
    "The report of a proof at full length, its bound from the functions that make it."
    u = np.random.default_rng(1)
    p = u.random(400) ** 4
    o = oracle.Oracle(
        np.where(u.random((400, 100)) < p[:, None], forks.MISSED, forks.PAID).astype(np.int8), np.ones(400, bool)
    )
    rows = pd.DataFrame(
        dict(
            customer_id=np.arange(400),
            target=(u.random(400) < p).astype(float),
            weight=1.0,
            probability=p + 0.2 * u.random(400),
            visible=p + 0.1 * u.random(400),
        )
    )
    curve = oracle.against_replays(o, rows["target"].to_numpy(), np.ones(400)).round(4)
    cell = dict(auc=0.9, soft_auc=0.92, soft_auc_se=0.01, loss=0.01, loss_se=0.004)
    return dict(
        oracle=oracle.achievable(rows, o, replicates=20),
        replays=json.loads(curve.to_json(orient="records")),
        model="ef",
        params=dict(rows=400, visible_customers=9, world_customers=8),
        sweep=[
            dict(
                world="as it is",
                hidden_share=0.5,
                base_rate=0.008,
                latent_soft_auc=0.95,
                latent_soft_auc_se=0.01,
                visible_soft_auc=0.93,
                visible_soft_auc_se=0.01,
                model_soft_auc=0.92,
                model_soft_auc_se=0.01,
            )
        ],
        transfer={
            "as it is": {"as it is": cell, "hard times": cell},
            "hard times": {"as it is": cell, "hard times": cell},
            "bound": {"as it is": cell, "hard times": cell},
        },
    )


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    "A folder of reports in which a proof of NOW is kept."
    truth_kept.keep(measured(), NOW, tmp_path / "data/reports")
    return tmp_path / "data/reports"


def changed(recipe: dict | None = None, manifest: dict | None = None, every_days: int = 7) -> dict:
    return truth_kept.identity(recipe or RECIPE, manifest or MANIFEST, every_days)


def set_in(values: dict, path: str, value: object) -> dict:
    found = deepcopy(values)
    *way, last = path.split(".")
    inner = found
    for key in way:
        inner = inner[key]
    inner[last] = value
    return found


def test_a_run_of_the_same_world_takes_the_figures_over_under_the_names_that_were_promised(reports: Path) -> None:
    found = truth_kept.taken(SHORT, NOW, reports)
    assert found["oracle"].keys() >= ASKED and all(found["oracle"][name] is not None for name in ASKED)
    assert found["oracle"] == measured()["oracle"] | dict(against_replays=measured()["replays"])
    assert found["transfer"] == measured()["transfer"] and found["sweep"] == measured()["sweep"]
    assert found["proof"]["full"] and found["proof"]["rows"] == 400 and found["reasons"] == SHORT["reasons"]


@pytest.mark.parametrize(
    ("now", "line"),
    [
        (changed(recipe=set_in(RECIPE, "base.seed", 2)), "base.seed is 2 here and was 1 there"),
        (
            changed(recipe=set_in(RECIPE, "simulate.hidden_share", 0.25)),
            "simulate.hidden_share is 0.25 here and was 0.5 there",
        ),
        (changed(recipe=set_in(RECIPE, "simulate.customers", 500)), "simulate.customers is 500 here and was 100 there"),
        (changed(every_days=14), "featurize.every_days is 14 here and was 7 there"),
        (changed(manifest=set_in(MANIFEST, "params.train.max_depth", 4)), "train.max_depth is 4 here and was 3 there"),
        (changed(manifest=set_in(MANIFEST, "params.train.novel", 1)), "train.novel is 1 here and was None there"),
        (
            NOW | dict(code=NOW["code"] | dict(world="0"), made=NOW["made"] | dict(panel="xx")),
            "the code of the world has changed since, and with it what it makes (panel)",
        ),
        (
            NOW | dict(code=NOW["code"] | dict(training="0"), made=NOW["made"] | dict(model="xx")),
            "the code of the training has changed since, and with it what it makes (model)",
        ),
    ],
    ids=[
        "seed",
        "hidden share",
        "customers",
        "spacing",
        "depth of trees",
        "new parameter",
        "other world",
        "other training",
    ],
)
def test_a_proof_of_another_world_is_left_out_and_the_line_says_why_and_what_to_do(
    reports: Path, now: dict, line: str
) -> None:
    found = truth_kept.taken(SHORT, now, reports)
    assert found["proof"] == dict(
        full=False, why=f"no proof at full length belongs to this run: {line}. `make proof` makes one"
    )
    assert found["transfer"] == dict(why=found["proof"]["why"]) and "sweep" not in found
    assert found["oracle"] == SHORT["oracle"] | dict(visible_auc=None, share_of_visible=None, why=found["proof"]["why"])


@pytest.mark.parametrize(
    "now",
    [
        NOW | dict(made=dict(panel="other", labels="last", model="bits")),
        NOW | dict(code=dict.fromkeys(NOW["code"], "faster")),
        changed(
            recipe=set_in(
                set_in(set_in(RECIPE, "base.contact_share", 0.1), "base.customers_per_part", 50),
                "simulate",
                RECIPE["simulate"] | dict(calibration=[], mechanics=[dict(name="y")]),
            )
        ),
    ],
    ids=["another machine", "faster code, the same bytes", "parameters that move nothing"],
)
def test_what_changes_no_figure_changes_nothing(reports: Path, now: dict) -> None:
    assert truth_kept.taken(SHORT, now, reports)["proof"]["full"]


def test_without_a_proof_the_run_says_so_and_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = truth_kept.taken(SHORT, NOW, tmp_path / "data/runs/try/reports")
    assert (
        found["oracle"]["why"]
        == "no proof at full length belongs to this run: none was made. `make proof ROOT=data/runs/try` makes one"
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (dict(model="other"), "this proof is of model other, here is ef"),
        (dict(sweep=[]), "not made at full length: it has no sweep"),
        (dict(transfer={}), "not made at full length: it has no transfer"),
    ],
    ids=["another model", "no sweep", "no transfer"],
)
def test_a_proof_that_is_short_or_of_another_model_is_not_kept(tmp_path: Path, spoil: dict, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        truth_kept.keep(measured() | spoil, NOW, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_is_refused_with_the_way_back(reports: Path) -> None:
    (reports / truth_kept.FILE).write_text("{")
    with pytest.raises(StoreError, match="is not JSON(.|\n)*make proof"):
        truth_kept.taken(SHORT, NOW, reports)


def test_a_model_above_the_bound_of_the_kept_proof_breaks_the_tripwire(tmp_path: Path) -> None:
    alarm = measured()
    alarm["oracle"]["not_below_model"] = False
    truth_kept.keep(alarm, NOW, tmp_path)
    assert truth_kept.taken(SHORT, NOW, tmp_path)["tripwires"] == dict(
        oracle_not_below_model=False, money_conserved=True
    )
    unasked = SHORT | dict(tripwires=dict(oracle_not_below_model=None))
    assert truth_kept.taken(unasked, NOW, tmp_path)["tripwires"] == dict(oracle_not_below_model=False), (
        "one alarm is enough"
    )
    truth_kept.keep(measured(), NOW, tmp_path)
    assert truth_kept.taken(unasked, NOW, tmp_path)["tripwires"] == dict(oracle_not_below_model=None), (
        "what was not asked was not held"
    )


SOURCE = 'import os\n\n\ndef half(x:float)->float:\n    "Half of it."\n    return x / 2 # exact\n\n\nclass A:\n    """More.\n\n    And more."""\n    text = "# no comment"\n'


@pytest.mark.parametrize(
    "other",
    [
        SOURCE.replace("Half of it", "One of two"),
        SOURCE.replace(" # exact", ""),
        SOURCE.replace("\n\n\n", "\n"),
        SOURCE.replace("And more", "And less"),
        "# first\n" + SOURCE,
    ],
    ids=range(5),
)
def test_words_about_code_are_not_code(other: str) -> None:
    assert truth_kept.essence(other) == truth_kept.essence(SOURCE)


@pytest.mark.parametrize(
    "other",
    [
        SOURCE.replace("x / 2", "x / 3"),
        SOURCE.replace("# no comment", "# a comment"),
        SOURCE.replace("import os", "import sys"),
    ],
    ids=range(3),
)
def test_a_number_a_text_and_an_import_are(other: str) -> None:
    assert truth_kept.essence(other) != truth_kept.essence(SOURCE)


def test_the_modules_that_a_proof_hangs_on_are_there_and_told_apart() -> None:
    assert len({truth_kept.code([module]) for part in truth_kept.PARTS.values() for module in part}) == len(
        {module for part in truth_kept.PARTS.values() for module in part}
    )


def test_the_tables_hold_each_figure_with_its_error_and_call_the_visible_estimate_what_it_is(reports: Path) -> None:
    report = truth_kept.taken(SHORT, NOW, reports)
    shown, o = achieved.achieved_tables(report), report["oracle"]
    assert (
        shown["achievable"].loc[achieved.VISIBLE, "against what happened"]
        == f"{o['visible_auc']:.3f} ± {o['visible_auc_se']:.3f}"
        and "lower estimate, not a bound" in achieved.VISIBLE
    )
    assert list(shown["replays"].index) == ["25", "50", "100"] and shown["replays"].iloc[-1, 1] == ""
    assert (
        shown["sweep"].loc["model", "50%"] == "0.920 ± 0.010"
        and shown["lost"].loc["hard times", "as it is"] == "0.010 ± 0.004"
        and shown["lost"].loc["as it is", "as it is"] == "–"
    )
    assert list(shown["transfer"].index) == ["as it is", "hard times", "bound"]
    assert "lower estimate, not a bound" in " ".join(achieved.said(report)) and "standard errors" in " ".join(
        achieved.said(report)
    )


def test_a_source_without_a_truth_has_tables_that_are_empty_and_a_reason() -> None:
    report = dict(oracle=dict(latent_auc=None, why="nothing was proved: that needs a world whose truth is known"))
    assert achieved.achieved_tables(report)["achievable"].empty and achieved.said(report) == [
        "Nothing was proved: that needs a world whose truth is known."
    ]


def test_bounds_of_other_worlds_on_fewer_futures_say_on_how_many_and_what_the_last_doubling_did() -> None:
    report = dict(
        oracle=dict(replays=4000),
        sweep=[dict(replays=1000, last_doubling=0.0036)],
        transfer=dict(bound=dict(a=dict(last_doubling=0.0022))),
    )
    assert (
        achieved._shorter(report)
        == "The bounds by share hidden and of the other worlds rest on 1,000 futures, not 4,000; their last doubling moved them by +0.0022 to +0.0036: they lie too low by about as much."
    )
    assert (
        achieved._shorter(report | dict(oracle=dict(replays=1000))) == ""
        and achieved._shorter(dict(oracle=dict(replays=9))) == ""
    )


def test_git_holds_the_kept_proof_and_dvc_evaluates_anew_when_it_changes(project: Path) -> None:
    path = f"data/reports/{truth_kept.FILE}"
    assert (
        subprocess.run(["git", "check-ignore", "-q", path], cwd=project).returncode == 1 and (project / path).is_file()
    )
    stages = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    assert [name for name, stage in stages.items() if path in stage["deps"]] == ["evaluate"]


def test_an_empty_file_is_no_proof(tmp_path: Path) -> None:
    (tmp_path / truth_kept.FILE).write_text("{}\n")
    assert "none was made" in truth_kept.taken(SHORT, NOW, tmp_path)["proof"]["why"]


@pytest.mark.slow
def test_a_short_run_says_which_command_makes_the_figures_it_lacks(trained: Path) -> None:
    metrics = json.loads((trained / "reports/metrics.json").read_text())
    assert (
        not metrics["proof"]["full"]
        and metrics["oracle"]["visible_auc"] is None
        and metrics["oracle"]["why"].endswith("none was made. `make proof` makes one")
        and "none was made" in metrics["transfer"]["why"]
    )


@pytest.mark.slow
@pytest.mark.long
def test_an_evaluation_takes_over_what_was_kept_for_its_results_and_not_what_was_kept_for_others(
    trained: Path, tmp_path: Path, project: Path
) -> None:
    for name in ("raw", "truth", "features", "model"):
        (tmp_path / name).symlink_to(trained / name)
    (tmp_path / "reports").mkdir()
    for stage in ("simulate", "featurize", "train", "prove"):
        (tmp_path / f"reports/{stage}.json").write_text((trained / f"reports/{stage}.json").read_text())
    (tmp_path / "reports/proof").symlink_to(trained / "reports/proof")
    full = tmp_path / "full/reports"
    full.mkdir(parents=True)
    (full / "prove.json").write_text(
        json.dumps(measured() | dict(model=json.loads((trained / "model/manifest.json").read_text())["version"]))
    )
    assert worlds.keep(tmp_path / "full", tmp_path) == tmp_path / "reports" / truth_kept.FILE
    changes = {
        "simulate.customers": 300,
        "base.customers_per_part": 100,
        "evaluate.bootstrap": 10,
        "evaluate.strangers": 0,
    }
    ops_stages.run("evaluate", tmp_path, changes, project)
    metrics = json.loads((tmp_path / "reports/metrics.json").read_text())
    assert (
        metrics["proof"]["full"]
        and metrics["oracle"].keys() >= ASKED
        and metrics["transfer"] == measured()["transfer"]
        and metrics["oracle"]["visible_auc"] == measured()["oracle"]["visible_auc"]
    )
    kept = json.loads((tmp_path / "reports" / truth_kept.FILE).read_text())
    kept["belongs_to"]["parameters"]["world"]["simulate"]["hidden_share"] = 0.1
    (tmp_path / "reports" / truth_kept.FILE).write_text(json.dumps(kept))
    ops_stages.run("evaluate", tmp_path, changes, project)
    metrics = json.loads((tmp_path / "reports/metrics.json").read_text())
    assert (
        not metrics["proof"]["full"]
        and "simulate.hidden_share is 0.5 here and was 0.1 there" in metrics["oracle"]["why"]
        and metrics["transfer"] == dict(why=metrics["proof"]["why"])
    )
