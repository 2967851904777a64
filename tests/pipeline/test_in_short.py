"""What a stage shows first are a few sentences made from its figures."""

import ast
import re

import numpy as np
import pytest
from project import Notebook, stages

from predelinquency.features import offline
from predelinquency.judge import promotion
from predelinquency.sources import report as audit
from predelinquency.truth import oracle
from predelinquency.world import calibration

pytestmark = pytest.mark.fast
STAGES = {n.name: n for n in stages()}
SILENT = {
    "offline",
    "append",
    "check_belongs",
    "log_findings",
    "write_proof",
}  # last in a cell and calls, but nothing is seen


def shows(cell: str) -> bool:
    "Whether something is seen below a cell."
    body = ast.parse(cell).body
    last = body[-1] if body else None
    call = last.value if isinstance(last, ast.Expr) else None
    silent = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in SILENT
    return (isinstance(last, ast.Expr) and not silent) or bool(re.search(r"\b(display|print)\(", cell))


def heads(notebook: Notebook) -> list[str]:
    "The headings above each code cell that shows something."
    at, found = "", []
    for cell in notebook.cells:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            at = text.split("\n")[0]
        elif shows(text):
            found.append(at)
    return found


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_shows_in_short_before_anything_else(name: str) -> None:
    assert heads(STAGES[name])[0] == "## In short" and heads(STAGES[name]).count("## In short") == 1


BANDS = [
    dict(name=n, low=0.01, high=0.03, unit="share", source="assumption") for n in ("first_miss_28d", "card_past_due")
]
MADE = dict(customers=1_200, transactions=96_000, obligations=15_000, payments=13_600, episodes=350)


def test_the_world_in_words_says_what_lies_outside_its_band() -> None:
    said = " ".join(
        calibration.world_in_words(MADE, calibration.compare(dict(first_miss_28d=0.022, card_past_due=0.07), BANDS))
    )
    assert "1,200 customers" in said and "**2.2%**" in said
    assert "**1 of 2 marginals lie inside their band.** Outside: card_past_due." in said
    calm = calibration.world_in_words(MADE, calibration.compare(dict(first_miss_28d=np.nan, card_past_due=0.02), BANDS))
    assert len(calm) == 2 and "nan" not in " ".join(calm)


def facts(name: str, rows: int, dropped: dict[str, int]) -> audit.TableFacts:
    empty = dict(first=None, last=None, words={}, unknown=[])
    return audit.TableFacts(name=name, rows=rows, dropped=dropped, **empty)


def test_a_source_in_words_counts_what_was_dropped_and_names_what_is_unknown() -> None:
    tables = {
        "payments": facts("payments", 40, {"amount > 0": 2, "its due is missing": 1}),
        "moments": facts("moments", 9, {}),
    }
    said = " ".join(
        audit.source_in_words(audit.Report("b", "", {"a.csv": {}}, tables, {"n.txt": "no"}, {"income": "no"}, 0.125))
    )
    assert "1 file of *b* gave 49 rows in 2 tables; 3 rows were dropped." in said
    assert "Left out: `n.txt`." in said and "cannot be known from it: income." in said
    assert "9 moments with a label of its own; **12.5%** went badly." in said
    bare = " ".join(audit.source_in_words(audit.Report("b", "", {}, {}, {}, {}, None)))
    assert "No moments of its own" in bare and "No group of features is unknown." in bare and "Left out" not in bare


FIGURES = dict(
    customers=300,
    rows=15_308,
    features=2,
    eligible_rows=13_951,
    targets=103,
    target_rate=0.00836,
    missing_share={"movements_30d": 0.1, "next_due": 0.3},
    empty_for_everybody=[],
)


def test_a_panel_in_words_names_what_is_known_least_and_what_nobody_has() -> None:
    said = " ".join(offline.panel_in_words(FIGURES))
    assert "15,308 moments of 300 customers" in said and "in 103 the target is met, **0.84%** of" in said
    assert "20.0% of the rows on average, `next_due` in 30.0%" in said and "Every feature is known of somebody." in said
    none = " ".join(offline.panel_in_words(FIGURES | dict(target_rate=None, empty_for_everybody=["next_due"])))
    assert "None" not in none and "no learner finds anything in them: next_due." in none


MANIFEST = dict(
    champion="xgboost",
    challenger="lightgbm",
    version="v1",
    threshold=0.0181,
    contact_share=0.05,
    rows=dict(train=dict(usable=1_671, customers=117, onsets=9), test=dict(usable=2_000, customers=80, onsets=8)),
    calibration=dict(kind="platt", onsets=1),
    promotion=dict(because="the rule holds for none"),
)


def test_training_in_words_tells_the_ruling_and_the_evidence() -> None:
    said = " ".join(promotion.training_in_words(MANIFEST))
    assert (
        "**xgboost** is champion" in said
        and "the rule holds for none" in said
        and "1,671 rows of 117 customers" in said
    )
    assert "(platt) on 1 missed payment of others" in said and "**1.81%**: 5% of the eligible" in said
    folded = {k: v for k, v in MANIFEST.items() if k != "promotion"} | dict(
        rows=MANIFEST["rows"] | dict(train=dict(usable=0))
    )
    said = " ".join(promotion.training_in_words(folded | dict(calibration=dict(kind="isotonic"))))
    assert "a committee of all learners" in said and "2,000 rows of 80 customers" in said and "None" not in said


BOUND = dict(share_of_latent=0.78, share_of_latent_soft=0.87, positives=4)
CASES = dict(perturb_cases=4, perturb_hit_rate=0.75, perturb_hit_rate_shuffled_high=0.75)


@pytest.mark.parametrize(("bound", "reasons", "wires", "part"), [
    ({}, {}, {}, "**87%** of what was achievable"), ({}, {}, {}, "**78%** (4 misses)"),
    (dict(share_of_latent=None), {}, {}, "too few misses"), (dict(share_of_latent_soft=None), {}, {}, "Nothing can be missed"),
    ({}, {}, {}, "no more than a habit earns"), ({}, dict(perturb_hit_rate=.8), {}, "**80%**: more than a habit earns"),
    ({}, dict(perturb_cases=0), {}, "no cases to judge"), ({}, {}, {}, "No tripwire was broken"),
    ({}, {}, dict(money_conserved=False, no_latent_column=None), "**Broken: money conserved.**")])  # fmt: skip
def test_a_proof_in_words_says_what_was_found(bound: dict, reasons: dict, wires: dict, part: str) -> None:
    assert part in " ".join(oracle.proof_in_words(BOUND | bound, CASES | reasons, wires))
