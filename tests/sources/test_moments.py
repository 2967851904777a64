"Questions that a source brings: each names its due, says when its answer was known, and is refused where that was before it."

from pathlib import Path

import bare_bank
import numpy as np
import pandas as pd
import pytest

from predelinquency.ground import disk, params
from predelinquency.ground.core import LeakageError, SchemaError
from predelinquency.ground.schema import ROW
from predelinquency.model import labels, panels
from predelinquency.sources import ingest, report
from predelinquency.sources.mapping import parse_mapping

BASE = params.load(Path(__file__).parents[2] / "params.yaml").base
MOMENTS = """  moments:
    from: (select *, due - 20 as asked, least(coalesce(paid, due + 6), due + 6) as known from book where n between 3 and 12)
    columns:
      customer: who
      as_of: asked
      obligation: who
      instalment: n
      target: cast(coalesce(paid, due + 99) > due + 5 as integer)
      known_on: known
      seen_before: n > 3
"""
CONTRACTS = """  contracts:
    from: (select who, n, due from book where n in (1, 7))
    columns: {customer: who, obligation: who, known_at: due - 31, principal: 1000 + n, term: "19", rate: n / 100.0}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bare_bank.bank(tmp_path / "files", 24)
    return tmp_path / "files"


def mapping(moments: str = MOMENTS, more: str = "") -> str:
    return bare_bank.HEAD + "tables:\n" + bare_bank.CUSTOMERS + bare_bank.DUES + more + moments


def read(folder: Path, text: str) -> tuple[Path, report.Report]:
    out = folder.parent / "raw"
    return out, ingest.ingest(parse_mapping(text, "own.yaml"), folder, out, BASE)


def test_a_moment_names_its_due_and_when_its_answer_was_known(folder: Path) -> None:
    out, _ = read(folder, mapping())
    found, dues = disk.read(out, "moments"), disk.read(out, "obligations")
    assert len(found) == 24 * 10 and found.target.sum() > 10
    both = found.merge(dues, on=["customer_id", "obligation_id", "instalment"], validate="one_to_one")
    assert (both.due_on - both.as_of == pd.Timedelta(days=20)).all()
    late = both[both.target == 1]
    assert (late.known_on == late.due_on + pd.Timedelta(days=6)).all() and (found.known_on >= found.as_of).all()


def test_a_moment_may_name_a_contract_only_or_nothing(folder: Path) -> None:
    out, _ = read(folder, mapping(MOMENTS.replace("      instalment: n\n", "")))
    found = disk.read(out, "moments")
    assert found.obligation_id.notna().all() and found.instalment.isna().all()
    out, _ = read(folder, mapping(MOMENTS.replace("      instalment: n\n", "").replace("      obligation: who\n", "")))
    assert disk.read(out, "moments").obligation_id.isna().all()


def test_a_question_whose_answer_was_known_is_counted_and_refused_before_anything_is_written(folder: Path) -> None:
    late = MOMENTS.replace("due - 20 as asked", "due + 3 as asked")
    found = ingest.check_source(parse_mapping(mapping(late), "own.yaml"), folder, BASE)
    said = next(f for f in found.findings if f.rule == "decided")
    truth = pd.read_csv(folder / "book.csv", parse_dates=["due", "paid"]).query("3 <= n <= 12")
    assert (said.cases, said.of) == (int((truth.paid < truth.due + pd.Timedelta(days=3)).sum()), len(truth))
    assert said.level == "refuse" and said.places[0].startswith("customer C")
    with pytest.raises(SchemaError, match="asked before its answer is known") as told:
        read(folder, mapping(late))
    assert "rule decided" in str(told.value.where) and "keep" in told.value.remedy
    assert not (folder.parent / "raw" / "moments").exists()


def test_what_is_asked_after_its_due_is_told_and_without_known_on_nobody_knows_whether_it_was_decided(
    folder: Path,
) -> None:
    late = MOMENTS.replace("due - 20 as asked", "due + 3 as asked").replace("      known_on: known\n", "")
    found = ingest.check_source(parse_mapping(mapping(late), "own.yaml"), folder, BASE)
    levels = {f.rule: f.level for f in found.findings}
    assert (levels["decided"], levels["ahead"]) == ("unknown", "warn")


def test_decided_moments_are_refused_where_no_ingest_has_looked(folder: Path) -> None:
    out, _ = read(folder, mapping())
    found = disk.read(out, "moments").head(3)
    with pytest.raises(LeakageError, match="1 of 3 moments"):
        labels.check_undecided(
            found.assign(known_on=found.as_of + pd.to_timedelta([-1, 0, 5], unit="D").astype("timedelta64[ms]"))
        )


def test_a_moment_about_a_contract_that_is_not_there_is_left_out_and_counted(folder: Path) -> None:
    strange = MOMENTS.replace("obligation: who", "obligation: case when who = 'C3' then 'X' else who end")
    out, found = read(folder, mapping(strange))
    assert found.tables["moments"].dropped == {"its obligation is not there": 10}
    assert len(disk.read(out, "moments")) == 23 * 10


def test_one_contract_is_asked_about_once_a_day_and_two_are_two_rows(folder: Path) -> None:
    twice = MOMENTS.replace("from book where n between 3 and 12)", "from book, range(2) where n = 3)")
    with pytest.raises(SchemaError, match="customer, as_of, obligation, instalment must be unique"):
        read(folder, mapping(twice))
    two = bare_bank.DUES.replace("obligation: who", "obligation: who || '-' || n % 2")
    both = MOMENTS.replace("due - 20 as asked", "date '2024-03-01' as asked").replace(
        "n between 3 and 12", "n in (4, 5)"
    )
    both = both.replace("obligation: who", "obligation: who || '-' || n % 2")
    out, _ = read(folder, bare_bank.HEAD + "tables:\n" + bare_bank.CUSTOMERS + two + both)
    found = disk.read(out, "moments")
    assert len(found) == 48 and (found.groupby(["customer_id", "as_of"]).obligation_id.nunique() == 2).all()


def test_features_and_labels_keep_the_rows_of_several_contracts_apart(folder: Path) -> None:
    out, _ = read(folder, mapping(more=CONTRACTS))
    source = panels.open_source(out, BASE, 7)
    summed = panels.make(source, folder.parent / "features", disk.parts(out, "customers"), simulated=False)
    panel, label = (disk.read(folder.parent / "features", name) for name in ("panel", "labels"))
    assert panel[list(ROW)].equals(label[list(ROW)]) and summed.rows == 240
    assert (panel.asked_lead_days == 20).all() and (panel.asked_instalment == panel.instalment).all()
    assert (panel.asked_left == 19 - panel.instalment + 1).all()
    changed = label.as_of.dt.year * 12 + label.as_of.dt.month >= 2024 * 12 + 7
    assert panel.asked_rate[changed].round(3).max() == pytest.approx(0.07) and panel.asked_rate.min() == pytest.approx(
        0.01
    )
    assert (panel.asked_principal.round().isin([100_100, 100_700])).all()


def test_ids_beyond_the_reach_of_floats_stay_whole_beside_rows_without_one(folder: Path) -> None:
    big = 2**53 + 1
    paid = bare_bank.DUES.replace(
        "paid_at: paid, amount: amount}",
        f"paid_at: paid, amount: amount, payment: case when n > 2 then {big} + rid end}}",
    ).replace(
        "payments: {from: book,",
        "payments: {from: '(select *, row_number() over (order by who, n) * 2 as rid from book)',",
    )
    out, _ = read(folder, bare_bank.HEAD + "tables:\n" + bare_bank.CUSTOMERS + paid)
    found = disk.read(out, "payments").payment_id
    assert found.isna().any() and found.notna().any()
    assert (found.dropna().to_numpy(np.int64) % 2 == 1).all()
