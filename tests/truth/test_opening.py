"""Opening the final hold-out: by a command of its own, once, and all or nothing."""

import json
import shutil
from contextlib import chdir
from dataclasses import replace

import pytest
import yaml
from typer.testing import CliRunner

from predelinquency.ground import core
from predelinquency.ground.core import StoreError
from predelinquency.judge import openings
from predelinquency.model import champion, registry
from predelinquency.ops import cli, say, stages
from predelinquency.truth import holdout

WHO, WHY, ON = "A. Owner", "before the first use", "2026-01-05"


@pytest.fixture
def folder(trained, tmp_path):
    "Results that may be opened: what the opening reads is linked, what it writes is its own."
    root = tmp_path / "results"
    (root / "reports").mkdir(parents=True)
    for name in ("raw", "truth", "features", "model"):
        (root / name).symlink_to(trained / name)
    shutil.copy(trained / "reports/metrics.json", root / "reports")
    return root


@pytest.fixture
def few(settings):
    return replace(settings.evaluate, final=200, bootstrap=20)


@pytest.fixture
def quick(monkeypatch):
    "Figures without lives, and who was asked for."
    met = []

    def judged(of, who, replicates):
        met.extend(who)
        return dict(headline=dict(auc=0.9, auc_low=0.8, auc_high=0.95)), dict(
            customers=200, onsets=9, rows=1000, positives=12, judged_from="2025-04-01", judged_to="2025-05-27"
        )

    monkeypatch.setattr(holdout, "judged", judged)
    return met


def test_an_opening_is_one_line_with_figures_and_the_second_is_refused_before_anybody_lives(folder, few, monkeypatch):
    line = holdout.opened(folder, WHO, WHY, ON, few)
    log = folder / "reports" / openings.LOG
    assert (
        openings.read(log) == [line | dict(previous="")]
        and line["version"] == champion.load_champion(folder / "model").version
        and line["customers"] == 200
    )
    assert (
        0.5 < line["figures"]["headline"]["auc"] <= 1
        and line["onsets"] > 0
        and line["figures"]["gain_over_calendar"]["auc"] is not None
    )
    assert {p.name for p in (folder / "reports").iterdir()} == {"metrics.json", openings.LOG}, (
        "nothing of its customers is kept"
    )
    monkeypatch.setattr(holdout, "judged", lambda *_: pytest.fail("lived again"))
    with pytest.raises(StoreError, match=f"opened for version {line['version']} on {ON} by {WHO}"):
        holdout.opened(folder, WHO, WHY, ON, few)
    assert openings.read(log) == [line | dict(previous="")]


def test_an_interrupted_opening_counts_as_none(folder, few, quick, monkeypatch):
    work = holdout.judged

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(holdout, "judged", interrupted)
    with pytest.raises(KeyboardInterrupt):
        holdout.opened(folder, WHO, WHY, ON, few)
    assert not (folder / "reports" / openings.LOG).exists()
    monkeypatch.setattr(holdout, "judged", work)
    assert holdout.opened(folder, WHO, WHY, ON, few)["opened_on"] == ON


def test_only_the_projects_own_folder_opens_the_real_one(folder, few, quick, tmp_path):
    rehearsed = holdout.opened(folder, WHO, WHY, ON, few)
    assert rehearsed["rehearsal"] and min(p.low for p in quick) == holdout.REHEARSED
    quick.clear()
    folder.rename(tmp_path / core.DEFAULT_ROOT)
    (tmp_path / "data/reports" / openings.LOG).unlink()
    with chdir(tmp_path):
        real = holdout.opened("data", WHO, WHY, ON, few)
    assert (
        not real["rehearsal"] and min(p.low for p in quick) == holdout.FIRST and real["holdout"] != rehearsed["holdout"]
    )


def test_a_model_that_was_not_evaluated_is_not_confirmed(folder, few, quick):
    (folder / "reports/metrics.json").write_text(json.dumps(dict(model=dict(version="another"))))
    with pytest.raises(StoreError, match="has not been evaluated"):
        holdout.opened(folder, WHO, WHY, ON, few)


def test_a_banks_own_files_have_no_hold_out_and_the_refusal_says_so(folder, few, quick):
    (folder / "truth").unlink()
    with pytest.raises(StoreError, match="a bank's own files: no customers were set aside"):
        holdout.opened(folder, WHO, WHY, ON, few)
    assert not quick


def test_two_openings_cannot_be_at_work_at_once(folder, few, quick):
    with core.holding(folder), pytest.raises(StoreError, match="another stage is running here"):
        holdout.opened(folder, WHO, WHY, ON, few)


def test_the_version_in_the_registry_is_tagged(folder, few, quick):
    registry.point(folder / "mlflow", folder / "model")
    holdout.opened(folder, WHO, WHY, ON, few)
    tags = registry.client(folder / "mlflow").get_model_version_by_alias(registry.NAME, registry.ALIAS).tags
    assert tags["final.auc"] == "0.9" and tags["final.by"] == WHO and tags["final.opened_on"] == ON


def test_no_run_opens_it(project):
    assert "final" not in stages.graph(project)
    for file in ("dvc.yaml", "pipeline.yaml"):
        assert "predelinquency final" not in (project / file).read_text()
    assert "data/reports/final.jsonl" in yaml.safe_load((project / "dvc.yaml").read_text())["stages"]["pack"]["deps"], (
        "the pack is written anew after an opening"
    )


def test_the_command_says_what_it_found_where_it_stands_and_refuses_without_a_reason(folder, project, quick):
    def typed(*words):
        with chdir(project):
            return CliRunner().invoke(cli.app, ["final", "--root", str(folder), *words], env=dict(COLUMNS="200"))

    refused = typed("--by", WHO)
    assert refused.exit_code == 1 and "reason is ''" in refused.output and not quick
    assert "nothing was opened yet" in typed("--log").output
    done = json.loads(typed("--by", WHO, "--reason", WHY, "--json").stdout)
    assert done["by"] == WHO and done["reason"] == WHY and done["figures"]["headline"]["auc"] == 0.9
    assert "AUC 0.900 (0.800–0.950)" in typed("--log").output and typed("--by", WHO, "--reason", WHY).exit_code == 1
    assert set(say.KEYS["final"].split(";")[0].split(", ")) == set(done)
