"""The first page and the pack: no headline figure without its easiest rival, and nothing breaks where there is none."""

import json
from pathlib import Path

import pytest

from predelinquency.ground.core import project_folder
from predelinquency.judge import front, pack
from test_pack import files

pytestmark = pytest.mark.fast
REPORT = json.loads((project_folder() / "data/reports/metrics.json").read_text())
RIVALS = dict(  # what an evaluation adds to a report
    gain_over_five_columns=dict(auc=0.0102, low=-0.0031, high=0.0213),
    gain_over_plain_aggregates=dict(auc=0.0022, low=-0.0091, high=0.0121),
    recall={"15_28d": 0.512, "15_28d_low": 0.46, "15_28d_high": 0.55, "random": 0.081, "random_low": 0.07, "random_high": 0.09},
    precision_at_capacity=dict(missed=0.064, missed_low=0.05, missed_high=0.08, random=0.005, random_low=0.004, random_high=0.006),
)  # fmt: skip
FIVE = dict(five_columns=dict(auc=0.9068, low=0.89, high=0.92), plain_aggregates=dict(auc=0.9148, low=0.9, high=0.93))
BESIDE = {  # headline figure → its easiest rival, by path
    "headline.auc": "baselines.five_columns",
    "recall.15_28d": "recall.random",
    "precision_at_capacity.missed": "precision_at_capacity.random",
}


def told():
    return REPORT | RIVALS | dict(baselines=REPORT["baselines"] | FIVE)


@pytest.mark.parametrize(("figure", "rival"), BESIDE.items())
def test_a_headline_figure_is_followed_by_its_easiest_rival(figure, rival):
    order = [path for path, _ in front.ROWS.values()]
    assert order[order.index(figure) + 1] == rival
    words = {path: name for name, (path, _) in front.ROWS.items()}
    rows = front.headline_rows(told())
    assert {words[figure], words[rival]} <= set(rows) and list(rows).index(words[rival]) > 0


def test_a_row_says_the_figure_of_the_report_and_an_older_report_has_fewer_rows():
    rows = front.headline_rows(told())
    assert rows["gain over five plain columns, paired"] == "0.010  (-0.003 – 0.021)"
    assert rows["… by a blind list of the same size"] == "8%  (7% – 9%)"
    bare = {k: v for k, v in REPORT.items() if k not in {*RIVALS, "due"}}
    older = front.headline_rows(bare | dict(baselines={k: v for k, v in REPORT["baselines"].items() if k not in FIVE}))
    assert [name for name in older if "five" in name or "blind list" in name] == [] and len(older) >= 11


def test_what_a_source_does_not_know_is_said_and_never_breaks():
    why = dict(auc=None, why="none of its columns tells one row from another here")
    lost = dict(recall={"15_28d": None, "random": None, "why": "there are no weekly lists"})
    odd = dict(headline=dict(auc=0.7, auc_low=None, auc_high=None, onsets=40), baselines=dict(five_columns=why))
    rows = front.headline_rows(odd | lost | dict(gain_over_five_columns=why))
    assert rows["ROC-AUC on customers and months never seen (95 % interval)"] == "0.700"
    assert rows["… five plain columns, with trees"].startswith("not known, because none of its columns")
    assert front.beside_rivals(odd | lost | dict(gain_over_five_columns=why)) == []


def test_a_gain_that_may_be_chance_is_called_that_and_a_sure_one_is_not():
    says = " ".join(front.beside_rivals(told()))
    assert "+0.010" in says and "which may be chance" in says and front.FAMOUS in says
    assert "Of 100 contacted, 6.4 would have missed as promised; of 100 chosen blindly, 0.5." in says
    sure = told() | dict(gain_over_five_columns=dict(auc=0.0102, low=0.0031, high=0.0213))
    assert "may be chance" not in " ".join(front.beside_rivals(sure))


def test_a_sources_own_moments_tell_both_rivals_and_what_they_could_read_and_leave_the_famous_figures_out():
    read = dict(columns=2, columns_of=5, reads="2 of 5 columns: some. Never known: others")
    report = told() | dict(baselines={name: block | read for name, block in FIVE.items()})
    says = front.beside_rivals(report)
    assert says[0].startswith("Five plain columns with trees reach 0.907 on the same rows; the score adds +0.010")
    assert says[1].startswith("Plain sums and counts with trees reach 0.915 on the same rows; the score adds +0.002")
    assert says[2] == "Five plain columns with trees could read 2 of 5 columns: some. Never known: others."
    assert front.FAMOUS not in " ".join(says)
    lost = dict(gain_over_plain_aggregates=dict(auc=None, why="x"))
    silent = dict(plain_aggregates=dict(auc=None, why="x", reads="0 of 50 columns"))
    says = front.beside_rivals(report | lost | dict(baselines=report["baselines"] | silent))
    assert "Plain sums and counts with trees could read 0 of 50 columns. Not known, because x." in says


def test_the_pack_has_each_headline_figure_beside_its_easiest_rival_and_says_why_it_is_lower():
    run = files()
    run["metrics"] |= RIVALS | dict(baselines=run["metrics"]["baselines"] | FIVE)
    text, _ = pack.markdown(run, {})
    rows = [line for line in text.split("\n") if line.startswith("|")]
    beside = {
        "| AUC | 0.918": "five plain columns, with trees: 0.907",
        "| Missed payments announced in the two weeks": "a blind list of the same size: 8%",
        "| Of those contacted, missed as promised": "a blind list: 0.50%",
        "| … what the score adds to it, paired": "+0.010, 95% interval -0.003 to +0.021",
    }
    for start, rival in beside.items():
        assert [row for row in rows if row.startswith(start) and rival in row], start
    assert "The easiest rival, five plain columns with trees, reaches 0.907" in text
    assert "An honest figure is lower than a famous one" in text
    bare, _ = pack.markdown(files(), {})
    assert "five plain columns, with trees" not in bare.split("### The score of a due")[0]


def test_the_readme_is_made_by_the_same_rows():
    index = json.loads(Path(project_folder() / "nbs/index.ipynb").read_text())
    code = "".join("".join(cell["source"]) for cell in index["cells"] if cell["cell_type"] == "code")
    words = "".join("".join(cell["source"]) for cell in index["cells"] if cell["cell_type"] == "markdown")
    assert "front.headline_rows(m)" in code and "An honest figure is lower than a famous one" in words
