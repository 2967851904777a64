"""The records of a snapshot, put together from files: what one customer alone would get, bit for bit."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from predelinquency.features.catalogue import ASKED, BY_NAME
from predelinquency.ground import disk, entries, schema
from predelinquency.ground.core import SchemaError, StoreError
from predelinquency.model import champion, roll_up
from predelinquency.reasons import bundles, overview, tables
from predelinquency.reasons import scorer as reasons_scorer


@pytest.fixture(scope="module")
def scorer(trained: Path) -> reasons_scorer.Scorer:
    model = champion.in_use(trained / "model")
    return reasons_scorer.Scorer(champion.load_champion(model), roll_up.load_roll_up(model))


@pytest.fixture(scope="module")
def snapshot(trained: Path) -> pd.DataFrame:
    rows = pd.read_parquet(champion.in_use(trained / "model") / "predictions.parquet").query("split == 'live'")
    return rows[rows.as_of == rows.as_of.max()].set_index("customer_id").sort_index()


@pytest.fixture(scope="module")
def vectors(trained: Path, snapshot: pd.DataFrame) -> dict[int, np.ndarray]:
    panel = disk.read(trained / "features", "panel")
    panel = panel[panel.as_of == snapshot.as_of.iloc[0]]
    of_customer = dict(zip(panel.customer_id.tolist(), panel[list(BY_NAME)].to_numpy(), strict=True))
    dues = disk.read(trained / "features", "dues").query("as_of == @snapshot.as_of.iloc[0]")
    places = [list(BY_NAME).index(f.name) for f in ASKED]
    found = {who: [row] for who, row in of_customer.items()}
    for who, known in zip(dues.customer_id.tolist(), dues[[f.name for f in ASKED]].to_numpy(), strict=True):
        found[who].append(of_customer[who].copy())
        found[who][-1][places] = known
    return {who: np.array(rows) for who, rows in found.items()}


def test_each_record_is_what_the_scorer_gives_for_that_customer_alone(
    trained: Path, scorer: reasons_scorer.Scorer, vectors: dict[int, np.ndarray]
) -> None:
    found = list(tables.scores(trained))
    assert 250 < len(found) < len(vectors) and sum(len(s.reasons) for s in found) > 200
    for s in found:
        assert repr(s) == repr(
            scorer.record(s.customer_id, s.as_of, vectors[s.customer_id], scorer.score(vectors[s.customer_id]), "GBP")
        )  # nan is not itself; repr keeps every bit of a float


def test_only_those_are_recorded_for_whom_the_score_was_made(trained: Path, snapshot: pd.DataFrame) -> None:
    eligible = snapshot.index[snapshot.eligible].tolist()
    assert [s.customer_id for s in tables.scores(trained)] == eligible and len(eligible) < len(snapshot)


def test_probability_margin_and_version_are_the_nightly_runs_own(
    trained: Path, snapshot: pd.DataFrame, scorer: reasons_scorer.Scorer
) -> None:
    for s in tables.scores(trained):
        r = snapshot.loc[s.customer_id]
        assert (s.probability, s.margin, s.as_of, s.model_version) == (
            r.probability,
            r.margin,
            str(r.as_of.date()),
            scorer.champion.version,
        )


def test_the_fingerprint_is_that_of_the_feature_row(
    trained: Path, vectors: dict[int, np.ndarray], scorer: reasons_scorer.Scorer
) -> None:
    names = scorer.champion.features
    at = [list(BY_NAME).index(n) for n in names]
    for s in list(tables.scores(trained))[:20]:
        assert s.feature_hash == entries.feature_hash(names, vectors[s.customer_id][0][at])


def test_a_row_is_bundled_to_the_same_bits_alone_and_among_thousands() -> None:
    rng = np.random.default_rng(4)
    names = tuple(BY_NAME)
    b, parts = (
        bundles.bundles(names),
        rng.normal(size=(4_000, len(names) + 1)) * 10 ** rng.uniform(-6, 1, len(names) + 1),
    )
    together = bundles.rank(parts, b)
    for r in range(0, 4_000, 37):
        alone = bundles.rank(parts[r : r + 1], b)
        assert (
            alone.push.tobytes() == together.push[r : r + 1].tobytes() and (alone.feature == together.feature[r]).all()
        )


def results(trained: Path, to: Path) -> Path:
    "A copy that may be spoiled: links, but for the reports."
    for name in ("model", "features"):
        (to / name).symlink_to(trained / name)
    shutil.copytree(trained / "reports", to / "reports", ignore=shutil.ignore_patterns("*.ipynb", "plots"))
    return to


def test_reasons_of_another_model_are_refused(trained: Path, tmp_path: Path) -> None:
    root = results(trained, tmp_path)
    report = root / "reports/explain.json"
    said = json.loads(report.read_text())
    report.write_text(json.dumps(said | {"versions": said["versions"] | {"model": "0123456789ab"}}))
    with pytest.raises(StoreError, match=r"made from model 0123456789ab.*\n?.*run the stage explain again"):
        list(tables.scores(root))


def test_a_panel_that_lacks_scored_customers_is_refused(trained: Path, tmp_path: Path) -> None:
    root = results(trained, tmp_path)
    (root / "features").unlink()
    panel = disk.parts(trained / "features", "panel")[0]
    table = disk.read_arrow(trained / "features", "panel", panel)
    (root / "features/panel").mkdir(parents=True)
    import pyarrow.parquet as pq

    pq.write_table(table.slice(0, len(table) // 2), root / "features/panel" / panel.file)
    with pytest.raises(SchemaError, match="not in the panel"):
        list(tables.scores(root))


def test_amounts_are_told_in_the_customers_own_currency() -> None:
    voices = bundles.bundles(["due_15_28d"])
    keys = pd.DataFrame(dict(customer_id=[1, 2, 3], as_of=np.datetime64("2025-07-01", "ms")))
    found = tables.tell(
        keys, np.ones((3, 1)), np.full((3, 1), 123_456.0), voices, 1, {1: "GBP", 2: "CZK"}
    ).analyst.tolist()
    assert found == ["£1,235 is due in 15–28 days", "1,235 CZK is due in 15–28 days", "1,235 is due in 15–28 days"]
    assert (
        bundles.reasons(np.ones(1), np.full(1, 123_456.0), voices, currency="EUR")[0].analyst
        == "€1,235 is due in 15–28 days"
    )


def test_whoever_has_accounts_in_two_currencies_has_none(world: Path, tmp_path: Path) -> None:
    accounts = disk.read(world / "raw", "accounts").head(3)
    rows = accounts.assign(
        customer_id=[1, 1, 2],
        account_id=[10, 11, 20],
        currency=pd.Categorical(["GBP", "EUR", "CZK"], categories=schema.CURRENCIES),
    ).sort_values(["customer_id", "account_id"])
    disk.write(tmp_path, schema.TABLES["accounts"], rows)
    assert tables.currencies(tmp_path) == {2: "CZK"}


def test_what_explain_and_prove_find_of_the_same_model_s_reasons_agrees(trained: Path, tmp_path: Path) -> None:
    "The stage explain speaks of the model that answers; asked of the judged one, it finds what the proof found."
    judged, roll = champion.load_champion(trained / "model"), roll_up.load_roll_up(trained / "model")
    scored = pd.read_parquet(trained / "model/predictions.parquet", columns=overview.READ)
    dues = pd.read_parquet(trained / "model/due_predictions.parquet", columns=overview.READ_DUES)
    rows = overview.on_dues(overview.to_explain(scored, judged.threshold), dues, roll)
    told, seed = replace(judged, fitted=roll.due.fitted), judged.manifest["seed"]
    voices = bundles.bundles(told.features)
    with tables.writing(tmp_path / "reasons.parquet", voices) as write:
        summed = overview.sum_up(tables.batches(told, trained / "features", rows), write, rows)
    report, _ = overview.explanation_figures(told, voices, summed, 0, seed)
    found = {k: v for k, v in report.items() if k.startswith("deletion_")}
    proved, explained = (json.loads((trained / f"reports/{name}.json").read_text()) for name in ("prove", "explain"))
    assert len(found) == 11 and found["deletion_rows"] > 0 and found.items() <= proved["reasons"].items()
    assert {k for k in explained if k.startswith("deletion_")} == set(found) and explained["model"] != judged.version
