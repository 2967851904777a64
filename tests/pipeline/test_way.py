"""The whole way on a small world."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from predelinquency.ops import stages

pytestmark = pytest.mark.slow
STAGES = [s for s in stages.graph(Path(__file__).parent.parent.parent).values() if s.name not in stages.STAND_IN]


def typed(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "predelinquency", *words],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=600,
    )


def digests(folder: Path) -> dict[str, str]:
    "File → hash, of everything below a folder."
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
def test_every_stage_leaves_all_its_products(trained: Path, stage: stages.Stage):
    assert [p for p in stages.place(stage, trained).values() if not Path(p).exists()] == []


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
def test_every_report_is_executed_and_free_of_errors_and_warnings(trained: Path, stage: stages.Stage):
    cells = [c for c in nbformat.read(stages.place(stage, trained)["nb"], 4).cells if c.cell_type == "code"]
    assert all(c.execution_count for c in cells if c.source.strip())
    assert [o for c in cells for o in c.outputs if o.output_type == "error"] == []
    assert [
        o.text
        for c in cells
        for o in c.outputs
        if o.output_type == "stream" and o.name == "stderr" and "Warning" in o.text
    ] == []


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
def test_every_report_works_without_a_network(trained: Path, stage: stages.Stage):
    text = Path(stages.place(stage, trained)["nb"]).read_text()
    assert [
        host
        for host in ("cdn.plot.ly", "cdn.jsdelivr.net", "unpkg.com", "cdnjs.cloudflare.com")
        if f'src=\\"https://{host}' in text
    ] == []


def test_nothing_is_left_beside_the_products(trained: Path):
    assert [str(p) for p in trained.rglob("*") if p.name.endswith((".draft", ".old", ".failed.ipynb"))] == []


def test_the_metrics_hold_what_the_readme_and_the_pages_read(trained: Path):
    metrics = json.loads((trained / "reports/metrics.json").read_text())
    assert metrics["headline"].keys() >= {
        "auc",
        "auc_low",
        "auc_high",
        "pr_auc",
        "base_rate",
        "ks",
        "ece",
        "brier_skill",
        "recall_at_5pct",
        "onsets",
    }
    assert metrics["baselines"].keys() >= {"calendar", "balance", "projected", "logistic"}
    assert 0.5 < metrics["baselines"]["five_columns"]["auc"] and 0.5 < metrics["baselines"]["plain_aggregates"]["auc"]
    for rival in ("calendar", "five_columns", "plain_aggregates"):
        assert metrics[f"gain_over_{rival}"].keys() >= {"auc", "low"}
    assert metrics["recall"].keys() >= {"15_28d", "15_28d_low", "random", "random_high"}
    assert metrics["precision_at_capacity"].keys() >= {"missed", "missed_low", "random"}
    for block in (metrics["fairness"]["sex"], metrics["intersections"]["age_band and sex"]):
        assert all({"misses", "observed_expected", "verdict"} <= one.keys() for one in block["groups"].values())
    lists, least = metrics["threshold"], metrics["threshold"]["cheapest"]["cost"]
    assert least <= min(lists[name]["cost"] for name in ("nobody", "capacity", "all")) and lists["currency"] == "GBP"
    assert metrics["due_date_auc"].keys() >= {"28", "14"}
    assert set(metrics["due"]["auc"]) == {"28", "21", "14", "7", "3"} and metrics["due"]["auc"]["14"] > 0.6
    assert set(metrics["due"]["rivals"]) >= {"direct", "collected_calendar", "own_lateness", "five_columns"}
    assert metrics["due"]["gain_over_five_columns"]["14"].keys() >= {"auc", "low"}
    assert metrics["due"]["calibration"]["observed_expected"].keys() >= {"pooled", "1_7", "8_14", "15_21", "22_28"}
    assert metrics["world"].keys() >= {"customers", "transactions", "miss_rate_28d"}
    assert metrics["world"]["mechanics"].keys() >= {"salary_repeats", "debits_on_closed_days", "failed_mortgage"}
    assert {"exposed_only", "straight_rollers"} <= metrics.keys()


def test_the_closing_table_names_what_was_made_and_where_to_look(trained: Path, project: Path):
    done = typed(project, "report", "--root", str(trained))
    assert done.returncode == 0, done.stderr
    for stage in STAGES:
        assert stage.name in done.stdout
    assert "metrics.json" in done.stdout and "AUC" in done.stdout
