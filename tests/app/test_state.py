"""What the page knows, without a browser."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from predelinquency.app import book_page, customer, customer_page, results, server, state, visit
from predelinquency.app.kit import WORDS
from predelinquency.ground import disk, schema, words
from predelinquency.ground.core import ParamsError, SchemaError, file_hash
from predelinquency.model import champion


def predicted(root: Path, rows: pd.DataFrame) -> None:
    "Other predictions, as if they had been written with the model."
    model = champion.in_use(root / "model")
    path = model / "manifest.json"
    rows.to_parquet(model / "predictions.parquet")
    about = json.loads(path.read_text())
    about["files"]["predictions.parquet"] = file_hash(model / "predictions.parquet")
    path.write_text(json.dumps(champion.sealed(about)))


@pytest.fixture(scope="session")
def over(trained: Path) -> state.Overview:
    return state.load_book(trained)


@pytest.fixture
def without(trained: Path, tmp_path: Path) -> Callable[..., Path]:
    "`without('reports/plan.parquet', …)`: the same results with some of them missing."

    def made(*gone: str) -> Path:
        shutil.copytree(
            trained, tmp_path / "results", ignore=shutil.ignore_patterns("truth", "mlflow", "*.ipynb", "due_panel")
        )
        for path in gone:
            at = tmp_path / "results" / path
            shutil.rmtree(at) if at.is_dir() else at.unlink()
        return tmp_path / "results"

    return made


def riskiest(over: state.Overview) -> int:
    return int(over.scored.customer_id.iloc[0])


def test_the_latest_weekly_score_is_the_score_of_the_snapshot(trained: Path, over: state.Overview) -> None:
    weekly = pd.read_parquet(trained / "reports/scores.parquet")
    latest = weekly[weekly.as_of == over.as_of].set_index("customer_id").probability
    assert set(latest.index) == set(over.scored.customer_id)
    assert (over.scored.set_index("customer_id").probability.loc[latest.index] == latest).all()


def test_the_weekly_scores_hold_every_eligible_row_and_no_other(trained: Path) -> None:
    keys = ["customer_id", "as_of"]
    labels, weekly = (
        pd.read_parquet(trained / "features/labels", columns=[*keys, "eligible"]),
        pd.read_parquet(trained / "reports/scores.parquet"),
    )
    pd.testing.assert_frame_equal(labels[labels.eligible][keys].reset_index(drop=True), weekly[keys], check_dtype=False)


def test_every_scored_customer_stands_in_one_band_and_the_bands_sum_up(over: state.Overview) -> None:
    bands = state.band_counts(over)
    assert bands.customers.sum() == len(over.scored)
    assert bands.expected.sum() == pytest.approx(over.scored.probability.sum())
    assert bands.change.sum() == 0
    for b in over.bands:
        assert over.scored.probability[over.scored.band == b.id].between(b.low, b.high).all()


def test_whoever_moved_up_was_in_a_lower_band_a_week_before(trained: Path, over: state.Overview) -> None:
    weekly = pd.read_parquet(trained / "reports/scores.parquet")
    before = weekly[weekly.as_of == over.before].set_index("customer_id").probability
    assert (over.as_of - over.before).days == 7
    order = [b.id for b in over.bands]
    for r in over.scored.itertuples():
        if r.customer_id in before.index:
            assert r.before == before[r.customer_id] and r.steps == order.index(r.band) - order.index(r.band_before)
        else:
            assert np.isnan(r.before) and r.steps == 0
    rose = state.movers(over)
    assert (rose.change > 0).all() and rose.change.is_monotonic_decreasing


@pytest.mark.parametrize("by", state.SEGMENTS)
def test_every_cut_of_the_book_holds_every_scored_customer_once(over: state.Overview, by: str) -> None:
    assert state.segments(over, by).customers.sum() == len(over.scored)
    assert state.segments(over, by).expected.sum() == pytest.approx(over.scored.probability.sum())


def test_the_plan_in_numbers_accounts_for_everybody(over: state.Overview) -> None:
    plan = state.day_plan(over)
    assert plan is not None and plan["customers"] == len(over.scored) == plan["doing"].customers.sum() + plan[
        "left"
    ].customers.sum() == sum(plan["arms"].values())


def test_the_list_can_be_sorted_filtered_and_turned(over: state.Overview) -> None:
    everybody = state.Query()
    seen = [
        c
        for page in range(-(-len(over.scored) // everybody.size))
        for c in state.listing(over, replace(everybody, page=page))[0].customer_id
    ]
    assert sorted(seen) == sorted(over.scored.customer_id)
    for column in state.SORTS:
        rows, _ = state.listing(over, replace(everybody, sort=column, falling=False, size=len(over.scored)))
        assert rows[column].dropna().is_monotonic_increasing
    rows, total = state.listing(over, replace(everybody, band="low", due="Nothing", size=10**6))
    assert total == len(rows) == ((over.scored.band == "low") & (over.scored.due == "Nothing")).sum()
    assert len(state.listing(over, replace(everybody, page=10**6))[0]) > 0, "a page that is not there is the last one"
    assert state.listing(over, replace(everybody, segment="no such"))[1] == 0


@pytest.mark.parametrize("typed", ["C000000007", "c000000007", "  7 ", "000000007"])
def test_a_customer_is_found_by_any_way_of_writing_the_number(over: state.Overview, typed: str) -> None:
    assert state.find(over, typed) == state.Found(7, "")


@pytest.mark.parametrize(
    "typed", ["999999", "C00000000", "", "<script>alert(1)</script>", "7; drop table", "-1", "1e3", "٣", "9" * 300]
)
def test_what_is_not_found_is_told_in_words(over: state.Overview, typed: str) -> None:
    found = state.find(over, typed)
    assert found.customer_id is None and found.sentence.endswith((".", "Enter."))


def test_the_banks_own_number_goes_before_ours(over: state.Overview) -> None:
    people = over.people.assign(source_id=[str(300 - c) for c in over.people.customer_id])
    assert state.find(replace(over, people=people), "100").customer_id == 200


def test_a_number_that_is_part_of_another_is_still_found(over: state.Overview) -> None:
    people = over.people.head(3).assign(source_id=["A1", "A12", "BA1"])
    for typed in ("a1", "A1"):
        assert state.find(replace(over, people=people), typed).customer_id == people.customer_id.iloc[0]
    assert state.find(replace(over, people=people.assign(source_id=["XA1", "A12", "BA1"])), "a1").others == (
        "XA1",
        "A12",
        "BA1",
    )


@pytest.mark.parametrize("weeks", [0, 5])
def test_one_customer_is_what_was_known_at_the_moment_of_the_score(
    trained: Path, over: state.Overview, weeks: int
) -> None:
    then = over.as_of - pd.Timedelta(weeks=weeks)
    earlier = replace(over, people=over.people.assign(as_of=then))
    for customer_id in over.scored.customer_id.head(25):
        one = customer.load_customer(earlier, customer_id)
        assert (
            (one.balance.on < one.as_of).all()
            and (one.paydays.on < one.as_of).all()
            and (one.flows.week < one.as_of).all()
        )
        assert not (one.dues.paid_on >= one.as_of).any()
        if weeks:
            continue
        assert one.reasons.contribution.is_monotonic_decreasing and (one.reasons.contribution > 0).all()
        assert one.history.probability.iloc[-1] == one.row["probability"]
        assert one.decision is not None and one.decision["customer_id"] == customer_id


def test_the_balance_shown_is_that_of_the_days_last_booking(trained: Path, over: state.Overview) -> None:
    ids = over.scored.customer_id.head(10).tolist()
    moved = pd.read_parquet(trained / "raw/transactions", filters=[("customer_id", "in", ids)]).sort_values(
        ["customer_id", "seq"]
    )
    accounts = pd.read_parquet(trained / "raw/accounts", filters=[("customer_id", "in", ids), ("kind", "=", "current")])
    known = moved[
        (moved.arrived_at < over.as_of) & (moved.status != "failed") & moved.account_id.isin(accounts.account_id)
    ]
    for customer_id in ids:
        mine = known[known.customer_id == customer_id]
        ends = mine.groupby(
            mine.booked_at.dt.normalize()
        ).balance_after_minor.last()  # every customer of this world has one current account
        shown = customer.load_customer(over, customer_id).balance.set_index("on").balance_minor
        assert (shown.loc[ends.index] == ends).all()


def test_dues_are_settled_as_the_labels_settle_them(trained: Path, over: state.Overview) -> None:
    from predelinquency.ground.facts import outcomes

    raw, ids = trained / "raw", over.people.customer_id.head(40)
    where = [("customer_id", "in", ids.tolist())]
    obligations, payments = (
        pd.read_parquet(raw / "obligations", filters=where),
        pd.read_parquet(raw / "payments", filters=where),
    )
    settled = outcomes(obligations, payments, 5)
    for customer_id in ids:
        dues = customer.load_customer(over, customer_id).dues
        closed = dues[(dues.due_on < over.as_of - pd.Timedelta(days=10)) & (dues.state != "open")]
        theirs = settled[
            (settled.customer_id == customer_id)
            & (settled.due_on < over.as_of - pd.Timedelta(days=10))
            & (settled.announced_at < over.as_of)
        ]
        assert len(closed) == len(theirs) and closed.state.isin(["late", "unpaid"]).sum() == theirs.missed.sum()


def test_nothing_of_the_planted_truth_is_read(trained: Path, without: Callable[..., Path]) -> None:
    blind = without()
    assert not (blind / "truth").exists()
    over = state.load_book(blind)
    book_page.book_html(over), customer.load_customer(over, riskiest(over))


MISSING = {
    "reports/plan.parquet": "There is no plan for the day yet",
    "reports/reasons.parquet": "The reasons behind the scores",
    "reports/scores.parquet": "There is no earlier week to compare with",
}


@pytest.mark.parametrize("gone, said", MISSING.items(), ids=lambda text: text[:20])
def test_a_result_that_is_missing_is_told_and_the_rest_is_shown(
    without: Callable[..., Path], gone: str, said: str
) -> None:
    over = state.load_book(without(gone))
    assert said in " ".join(s for _, s in state.remarks(over))
    html = book_page.book_html(over) + book_page.list_html(over, state.Query())
    one = customer.load_customer(over, riskiest(over))
    html += (
        customer_page.who_html(over, one)
        + customer_page.reasons_html(one)
        + customer_page.action_html(over, one)
        + customer_page.coming_html(over, one)
    )
    assert not re.search(r"\bnan\b|\bNone\b|\bNaT\b|&lt;NA&gt;", html)


def test_a_simulated_book_says_so_and_a_banks_own_does_not(over: state.Overview, without: Callable[..., Path]) -> None:
    assert "These customers are simulated. Nobody on this page exists." in book_page.remarks_html(over)
    assert "simulated" not in book_page.remarks_html(state.load_book(without("reports/simulate.json")))


def test_an_empty_folder_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"there are no scores here yet(.|\n)*make run"):
        state.load_book(tmp_path)
    page = visit.Page(tmp_path)
    assert "Nothing to show yet" in page.w.book.value and "make run" in page.w.book.value
    assert page.act("find", "7")["said"] and page.act("open", "7")["view"] == "book"


@pytest.fixture
def bare(trained: Path, tmp_path: Path) -> state.Overview:
    "A bank's own files with one customer who has nothing: no account, no transaction, no due, no plan, no score."
    root, part = tmp_path / "bare", "customers-000000000-000000000.parquet"
    for name, table in schema.TABLES.items():
        rows = disk.arrow_schema(table).empty_table()
        (root / "raw" / name).mkdir(parents=True)
        if name == "customers":
            rows = pq.read_table(min((trained / "raw/customers").glob("*.parquet"))).slice(0, 1)
        pq.write_table(rows, root / "raw" / name / part)
    shutil.copytree(trained / "model", root / "model")
    rows = pd.read_parquet(trained / "model/predictions.parquet")
    predicted(root, rows[(rows.customer_id == 0) & (rows.split == "live")].assign(eligible=False))
    return state.load_book(root)


def test_a_customer_with_nothing_has_a_page_of_clear_words(bare: state.Overview) -> None:
    one = customer.load_customer(bare, 0)
    html = (
        customer_page.who_html(bare, one)
        + customer_page.reasons_html(one)
        + customer_page.action_html(bare, one)
        + customer_page.coming_html(bare, one)
        + customer_page.key_html(one)
        + book_page.book_html(bare)
        + book_page.list_html(bare, state.Query())
    )
    assert (
        "no score" in html
        and "none that we can see" in html
        and "Nothing has been announced" in html
        and "Nothing is proposed for a customer without a score" in html
    )
    assert len(customer.gaps(one)) == 3
    assert not re.search(r"\bnan\b|\bNone\b|\bNaT\b", html)
    customer_page.cash_figure(one), customer_page.history_figure(bare, one)


def test_a_source_with_its_own_moments_has_no_movement_and_no_plan(trained: Path, without: Callable[..., Path]) -> None:
    root = without("reports/scores.parquet", "reports/plan.parquet")
    rows = pd.read_parquet(root / "model/predictions.parquet")
    own = rows[rows.split == "test"].assign(split="fold", fold=0)
    predicted(root, pd.concat([own.assign(repeat=r, probability=p) for r, p in ((0, 0.1), (1, 0.3))]))
    over = state.load_book(root)
    assert over.as_of is None and over.before is None and over.people.customer_id.is_unique
    assert over.scored.probability.round(9).eq(0.2).all(), "the mean over the deals of the folds"
    assert "each on the last day that was scored" in book_page.header_html(
        over
    ) and "days to score all lie in the past" in book_page.book_html(over)
    customer.load_customer(over, riskiest(over))


def test_data_cannot_write_into_the_page(over: state.Overview) -> None:
    evil = "<img src=x onerror=alert(1)>"
    people = over.people.assign(segment=evil, source_id=[f"{evil}{i}" for i in range(len(over.people))], sign=evil)
    bad = replace(over, people=people)
    one = replace(customer.load_customer(over, riskiest(over)), row=people.iloc[0].to_dict())
    one = replace(
        one,
        reasons=one.reasons.assign(analyst=evil, customer=evil),
        decision=one.decision | dict(message=evil, subject=evil, because=evil),
    )
    html = (
        book_page.book_html(bad)
        + book_page.list_html(bad, state.Query())
        + customer_page.who_html(bad, one)
        + customer_page.reasons_html(one)
        + customer_page.action_html(bad, one)
    )
    assert "<img" not in html and "&lt;img" in html


def test_a_topic_may_be_named_and_a_sign_without_one_shows_nothing_to_say(over: state.Overview) -> None:
    one = customer.load_customer(over, riskiest(over))
    said = lambda topic: customer_page.reasons_html(replace(one, reasons=one.reasons.head(1).assign(customer=topic)))
    assert "may be named: “The balance before your next payments”" in said("The balance before your next payments")
    assert "named" not in said(None) and 'class="said"' not in said(None)
    page = visit.Page(over.results.root)
    page.act("open", str(one.row["source_id"]))
    assert "what has no topic that may be named is for staff only" in page.w.why.value


def test_no_page_calls_anybody_a_defaulter_or_speaks_of_models(over: state.Overview) -> None:
    one = customer.load_customer(over, riskiest(over))
    html = (
        book_page.book_html(over)
        + book_page.list_html(over, state.Query())
        + customer_page.who_html(over, one)
        + customer_page.coming_html(over, one)
        + book_page.header_html(over)
    )
    said = re.sub(r"<[^>]+>", " ", html).lower()
    assert not re.search(r"\bdefault(er|ed|s)?\b|log-odds|margin|delinquent|\bshap\b|percentile|quantile", said)


def test_newer_results_are_read_when_a_page_is_opened_again(without: Callable[..., Path]) -> None:
    root = without("reports/plan.parquet")
    page = visit.Page(root)
    assert "There is no plan for the day yet" in page.w.remarks.value
    rows = pd.read_parquet(root / "reports/scores.parquet")
    shutil.copy(root / "reports/scores.parquet", root / "reports/copy")
    rows[rows.as_of < rows.as_of.max()].to_parquet(root / "reports/scores.parquet")
    before = page.over.before
    page.act("hello", "")
    assert page.over.before == before and page.over.weeks.as_of.iloc[-1] == before


def test_a_failure_is_told_in_words_and_not_as_a_stack_of_calls(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = visit.Page(trained)
    monkeypatch.setattr(customer, "load_customer", lambda *_: 1 / 0)
    said = visit.answered(page, "open", "7")
    assert said["done"] and "Something went wrong" in said["said"] and "Traceback" not in capsys.readouterr().err


def test_elsewhere_than_on_this_machine_a_token_is_asked_for(trained: Path, project: Path) -> None:
    page = project / "nbs/dashboards/risk.ipynb"
    own, open_ = (
        server.page_command(trained, notebook=page),
        server.page_command(trained, host="0.0.0.0", notebook=page),
    )
    assert own.env[server.TOKEN_VARIABLE] == "" and "token" not in own.url
    assert len(open_.env[server.TOKEN_VARIABLE]) >= 32 and open_.url.endswith(open_.env[server.TOKEN_VARIABLE])
    assert not any(open_.env[server.TOKEN_VARIABLE] in word for word in open_.argv), (
        "what is typed can be seen by every user of the machine"
    )
    assert own.env[results.ROOT_VARIABLE] == str(trained.resolve())
    for word in (
        "--strip_sources=True",
        "--show_tracebacks=False",
        "--Voila.ip=127.0.0.1",
        "--MappingKernelManager.cull_idle_timeout=600",
    ):
        assert word in own.argv


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, project: Path) -> None:
    with pytest.raises(ParamsError, match="there is no folder of results here"):
        server.page_command(tmp_path / "nothing", notebook=project / "nbs/dashboards/risk.ipynb")
    with pytest.raises(ParamsError, match="there is no page here"):
        server.page_command(tmp_path, notebook=tmp_path / "x.ipynb")


def test_the_page_needs_no_address_but_its_own(project: Path) -> None:
    files = [
        p for p in (project / "predelinquency/app").rglob("*") if p.suffix in (".js", ".css", ".j2", ".html", ".py")
    ]
    assert len(files) >= 6
    outside = [(p.name, url) for p in files for url in re.findall(r"https?://[^\s\"'`)]+", p.read_text())]
    assert [o for o in outside if not o[1].startswith("http://{host}:{port}")] == []


def test_a_page_has_at_most_six_cells_and_defines_nothing(project: Path) -> None:
    for path in (project / "nbs/dashboards").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        assert len(cells) <= 6 and not any(
            re.search(r"^\s*(def|class) ", "".join(c["source"]), re.M) for c in cells if c["cell_type"] == "code"
        )


def test_where_nothing_is_due_nothing_is_said_of_its_date_or_amount(over: state.Overview) -> None:
    refused = [
        over.rules.policy.refusal(rule)
        for rule in ("due_known", "due_ahead", "amount_plausible", "same_currency", "complaint")
    ]
    told = " ".join(customer.passed_over(over, refused)[0][1])
    assert (
        "No coming payment" in told
        and "complaint" in told
        and "amount" not in told.replace("known amount", "")
        and "currency" not in told
    )
    assert "currency" in " ".join(customer.passed_over(over, refused[3:])[0][1])


def test_what_is_on_record_is_told_although_something_else_is_not(over: state.Overview) -> None:
    refused = [over.rules.policy.refusal(rule) for rule in ("circumstances_known", "bereavement")]
    assert "A bereavement is recorded." in customer.passed_over(over, refused)[0][1]


def test_what_hardly_pushes_is_no_reason(without: Callable[..., Path]) -> None:
    root = without()
    path = root / "reports/reasons.parquet"
    told = pd.read_parquet(path)
    one = told[(told.as_of == told.as_of.max()) & (told["rank"] == 2) & (told.contribution > 0.02)].customer_id.iloc[0]
    told.loc[(told.customer_id == one) & (told["rank"] >= 2), "contribution"] = 0.004
    pq.write_table(pa.Table.from_pandas(told, schema=pq.read_schema(path), preserve_index=False), path)
    assert len(customer.load_customer(state.load_book(root), int(one)).reasons) == 1


def test_an_action_is_one_line_with_all_its_ways(over: state.Overview) -> None:
    plan = state.day_plan(over)
    assert plan is not None
    html = book_page.plan_html(over)
    for label, rows in plan["doing"].groupby("label"):
        assert html.count(f">{label}<") == 1
        for r in rows.itertuples():
            assert f"{r.customers:,} {WORDS['channels'][r.channel]}" in html


def test_no_due_is_drawn_on_the_edge_of_the_calendar(over: state.Overview) -> None:
    from predelinquency.ground import portraits

    one = customer.load_customer(over, riskiest(over))
    last = one.as_of + pd.Timedelta(days=portraits.AHEAD_DAYS)
    edge = one.dues.tail(1).assign(due_on=last, state="open", amount_minor=77_700)
    fig = customer_page.cash_figure(replace(one, dues=pd.concat([one.dues, edge], ignore_index=True)))
    assert all(
        pd.Timestamp(x) < last for trace in fig.data if trace.name in ("due ahead", "due, paid") for x in trace.x
    )


def test_a_plan_without_a_due_says_so_once(without: Callable[..., Path]) -> None:
    root = without()
    plan = pd.read_parquet(root / "reports/plan.parquet")
    one = plan[plan.rule == "due_known"].customer_id.iloc[0]
    assert "same_currency" in plan[plan.customer_id == one].refusals.iloc[0], "the plan itself keeps every no"
    over = state.load_book(root)
    html = customer_page.action_html(over, customer.load_customer(over, int(one)))
    assert "No coming payment" in html and "currency" not in html and "ahead of us" not in html


def test_a_chance_too_small_to_write_out_has_a_small_word(over: state.Overview) -> None:
    one = customer.load_customer(over, riskiest(over))
    html = customer_page.who_html(over, replace(one, row=one.row | dict(probability=0.0004)))
    assert '<span class="pd-word">under</span> 0.1%' in html and "pd-word" not in customer_page.who_html(
        over, replace(one, row=one.row | dict(probability=0.41))
    )


def rows_of(html: str) -> list[str]:
    return re.findall(r"<tr>(?:(?!</tr>).)*<td(?:(?!</tr>).)*</tr>", html)


def test_the_due_that_an_offer_is_about_is_always_listed_and_marked(over: state.Overview) -> None:
    assert over.plan is not None
    offered = over.plan[over.plan.channel != ""].customer_id
    assert len(offered)
    for customer_id in offered:
        one = customer.load_customer(over, int(customer_id))
        assert one.decision is not None
        bills = one.dues[one.dues.state == "open"].head(1).assign(obligation_id=-1, kind="telecom", amount_minor=1_234)
        days = pd.date_range(one.as_of + pd.Timedelta(days=1), periods=9).astype("datetime64[ms]")
        crowded = replace(
            one,
            dues=pd.concat(
                [one.dues, *(bills.assign(instalment=n, due_on=on) for n, on in enumerate(days))], ignore_index=True
            ),
        )
        html = customer_page.coming_html(over, crowded)
        marked = [r for r in rows_of(html) if "in the proposal" in r]
        assert len(rows_of(html)) == 8 and len(marked) == 1
        assert (
            words.day(one.decision["due_on"], year=False) in marked[0]
            and words.money(one.decision["amount_minor"], one.decision["currency"]) in marked[0]
        )
        assert customer.due_next(crowded.coming, one.decision).due_on.is_monotonic_increasing
        assert f"{len(crowded.coming) - 8} more" in html


def test_every_due_of_a_customer_has_the_chance_that_the_model_gave_it(trained: Path, over: state.Overview) -> None:
    said = pd.read_parquet(champion.in_use(trained / "model") / "due_predictions.parquet").query("split == 'live'")
    told, expected, spoken = 0, 0, 0
    for customer_id in said.customer_id.unique()[:40]:
        one = customer.load_customer(over, int(customer_id))
        mine = said[said.customer_id == customer_id].set_index(["obligation_id", "instalment"])
        known = one.coming[one.coming.chance.notna()].set_index(["obligation_id", "instalment"])
        assert known.chance.to_dict() == mine.probability.to_dict()
        assert ((known.due_on - one.as_of).dt.days == mine.lead_days.reindex(known.index)).all()
        assert known.announced.to_dict() == (~mine.expected).to_dict() and known.speaks.sum() <= 1
        html = customer_page.coming_html(over, one)
        shown = customer.due_next(one.coming, one.decision)
        assert html.count(">expected</span>") == (~shown.announced).sum() and "Chance of a miss" in html
        told, expected = told + len(known), expected + int((~shown.announced).sum())
        spoken = spoken + int(known.speaks.sum())
        for due in one.coming[one.coming.speaks].itertuples():
            assert words.day(due.due_on) in customer_page.why_html(over, one)
    assert told > 40 and expected and spoken > 20


def test_where_nothing_is_offered_no_due_is_marked_as_proposed(over: state.Overview) -> None:
    assert over.plan is not None
    quiet = over.plan[(over.plan.channel == "") & over.plan.band.ne("low")].customer_id.head(10)
    for customer_id in quiet:
        assert "in the proposal" not in customer_page.coming_html(over, customer.load_customer(over, int(customer_id)))


def test_words_on_the_grace_of_a_due_may_break_over_lines(over: state.Overview) -> None:
    one = customer.load_customer(over, riskiest(over))
    due = one.dues.tail(1).assign(due_on=one.as_of - pd.Timedelta(days=3), state="open")
    html = customer_page.coming_html(over, replace(one, dues=due))
    assert "3 days ago,</span> within its grace" in html and all(
        len(w) < 14 for w in re.findall(r'pd-nowrap">([^<]*)<', html)
    )


@pytest.mark.parametrize("many", [1, 50, 5_000, 500_000])
def test_the_numbers_beside_a_picture_have_room_on_a_telephone(over: state.Overview, project: Path, many: int) -> None:
    type_ = max(
        int(n)
        for n in re.findall(
            r"\.pd-svg \{[^}]*font-size:(\d+)px", (project / "predelinquency/app/page/page.css").read_text()
        )
    )
    counts = [c for c in over.weeks if c not in ("as_of", "customers")]
    html = book_page.trend_html(replace(over, weeks=over.weeks.assign(**{c: over.weeks[c] * many for c in counts})))
    labels = [
        (float(x), words)
        for x, words in re.findall(r'<text x="([\d.]+)" y="[\d.]+" text-anchor="end">([\d,]+)</text>', html)
    ]
    assert len(labels) > 4 and len({x for x, _ in labels}) == 1, "both pictures stand over the same weeks"
    digits = [(x, words) for x, words in labels if words.replace(",", "").isdigit()]
    assert all(x >= type_ * 0.56 * len(words.replace(",", "")) + type_ * 0.28 * words.count(",") for x, words in digits)


def test_a_line_of_scores_breaks_where_a_week_has_none(over: state.Overview) -> None:
    one = customer.load_customer(over, riskiest(over))
    days = pd.date_range(end=one.as_of, periods=12, freq="7D")
    told = pd.DataFrame(dict(as_of=days, probability=np.linspace(0.1, 0.2, 12), learnt=[True] * 3 + [False] * 9))
    line = lambda history: np.array(
        next(t for t in customer_page.history_figure(over, replace(one, history=history)).data if t.name == "chance").y,
        dtype=float,
    )
    assert not np.isnan(line(told)).any() and len(line(told)) == 9
    assert np.isnan(line(told.drop(index=[1, 6, 7]))).tolist() == [False] * 3 + [True] + [False] * 4, (
        "what the model learnt from is not part of the line"
    )


def test_a_figure_of_a_band_is_named_for_the_band_and_promises_nobody_a_look(over: state.Overview) -> None:
    html = book_page.book_html(over)
    assert "Customers at raised or high risk" in html and "Raised or high</th>" in html
    assert "need a look" not in html.lower(), "the control group is in these bands too, and is never contacted"
