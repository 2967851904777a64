"The fold: batch == replay == stream == rescan, at every event; nothing from the future; nothing forgotten; silence counts."

import itertools

import fuzz
import numpy as np
import pandas as pd
import pytest
import rescan

from predelinquency.features import calculations, catalogue, measures, offline, online
from predelinquency.features import events as features_events
from predelinquency.features.catalogue import CATALOGUE
from predelinquency.ground import disk
from predelinquency.ground.core import LeakageError, SchemaError, StoreError

NAMES = catalogue.names()
MEANS = {
    "pay_delay_3",
    "days_late_mean",
    "days_late_3",
    "days_late_drift",
    "sign_days_late_90d",
    "window_days_late",
    "next_due_days_late",
    "mean_ever",
    "monthly_inflow",
    "pay_step",
}
WHOLE = [
    i
    for i, f in enumerate(CATALOGUE)
    if f.unit in ("count", "days", "money") and f.name not in MEANS and f.calculation.row[0] != calculations.Op.ratio
]  # integers and counts
ARRIVAL = {
    "accounts": "opened_on",
    "obligations": "announced_at",
    "transactions": "arrived_at",
    "payments": "arrived_at",
}


def values(frame):
    return frame[NAMES].to_numpy()


def day_of(when):
    return int(np.datetime64(when, "D").astype(int))


def differing(a, b, relative=0.0):
    "Names of the features in which two sets of rows differ."
    with np.errstate(invalid="ignore"):
        same = (
            (np.isnan(a) & np.isnan(b))
            | (a == b)
            | (np.abs(a - b) <= relative * np.maximum(np.abs(a), np.maximum(np.abs(b), 1)))
        )
    return [n for n, good in zip(NAMES, same.reshape(-1, len(NAMES)).all(axis=0), strict=True) if not good]


def one(tables, customer):
    return {name: t[t.customer_id == customer] for name, t in tables.items()}


def in_order(tables):
    "All events of one customer as (table, row), in order of arrival."
    rows = [
        (row[ARRIVAL[name]], kind, row.get("seq", 0), name, row)
        for kind, name in enumerate(ARRIVAL)
        for row in tables[name].to_dict("records")
    ]
    return [(name, row) for *_, name, row in sorted(rows, key=lambda r: r[:3])]


@pytest.fixture(scope="module", params=[60, pytest.param(200, marks=pytest.mark.long)])
def customers(request):
    "How many the bank has."
    return request.param


@pytest.fixture(scope="module")
def bank(customers):
    return fuzz.tables(11, customers, days=200, most=90)


@pytest.fixture(scope="module")
def asked(bank):
    return fuzz.arrivals(bank)


@pytest.fixture(scope="module")
def batch(bank, asked):
    return offline.features(bank, asked)


def test_batch_equals_the_stateless_rescan_after_every_event(bank, batch, customers):
    found = values(batch)
    plain = np.empty_like(found)
    for customer, rows in batch.groupby("customer_id"):
        life = rescan.Life(bank, customer)
        for i, when in zip(rows.index, rows.as_of.to_numpy(), strict=True):
            plain[i] = rescan.rescan(life, day_of(when))
    assert batch.customer_id.nunique() == customers
    assert differing(found, plain, 1e-9) == []
    assert np.array_equal(found[:, WHOLE], plain[:, WHOLE], equal_nan=True)


def test_the_rings_survive_long_silences_and_years_of_history():
    tables = fuzz.tables(12, 30, days=1500, most=60)
    spine = fuzz.spine(30, days=1500, every=97)
    found = values(offline.features(tables, spine))
    plain = np.array(
        [
            rescan.rescan(rescan.Life(tables, c), day_of(when))
            for c, when in zip(spine.customer_id, spine.as_of.to_numpy(), strict=True)
        ]
    )
    assert differing(found, plain, 1e-9) == []


def test_a_stream_of_single_events_equals_the_batch_at_every_midnight(bank, batch):
    for customer, rows in batch.groupby("customer_id"):
        events, warm = in_order(one(bank, customer)), online.Customer()
        for i, when in zip(rows.index, rows.as_of, strict=True):
            while events and events[0][1][ARRIVAL[events[0][0]]] < when:
                warm.update(*events.pop(0))
            assert differing(warm.emit(when), values(batch)[i]) == [], (customer, when)


def test_one_customers_raw_history_gives_the_same_row_as_the_batch(bank, batch):
    for customer, rows in list(batch.groupby("customer_id"))[::7]:
        own = one(bank, customer)
        for i in rows.index[::5]:
            assert (
                differing(
                    online.vector(
                        own["transactions"], own["obligations"], own["payments"], own["accounts"], rows.as_of[i]
                    ),
                    values(batch)[i],
                )
                == []
            )
        plain = {
            n: {
                c: [
                    None if x is pd.NA or x != x else str(x) if isinstance(x, pd.Timestamp) else x
                    for x in t[c].astype(object)
                ]
                for c in t
            }
            for n, t in own.items()
        }
        assert (
            differing(
                online.rows(features_events.history(plain), np.array([day_of(rows.as_of.iloc[-1])]))[0],
                values(batch)[rows.index[-1]],
            )
            == []
        )


def test_a_state_saved_and_loaded_midway_goes_on_as_if_nothing_had_happened(bank, batch):
    for customer, rows in list(batch.groupby("customer_id"))[::5]:
        events, warm = in_order(one(bank, customer)), online.Customer()
        for k, (table, row) in enumerate(events):
            warm.update(table, row)
            if k % 3 == 0:
                warm = online.Customer.load(warm.save())
        assert differing(warm.emit(rows.as_of.iloc[-1]), values(batch)[rows.index[-1]]) == []


def test_a_state_of_another_catalogue_is_refused():
    with pytest.raises(StoreError, match="another version"):
        online.Customer.load(b"predelinquency state 0\n" + online.Customer().save())


def test_everything_delivered_twice_changes_nothing(bank, batch):
    for customer, rows in list(batch.groupby("customer_id"))[::3]:
        events, warm, last = in_order(one(bank, customer)), online.Customer(), []
        for table, row in events:
            warm.update(table, row)
            warm.update(table, row)
            last = [*last, (table, row)][-20:]
            for again in last[:: max(len(last) // 3, 1)]:
                warm.update(*again)
        assert differing(warm.emit(rows.as_of.iloc[-1]), values(batch)[rows.index[-1]]) == []


@pytest.mark.fast
@pytest.mark.parametrize("again", ["settled", "moved"])
def test_an_older_word_about_a_due_changes_nothing_when_it_comes_once_more(again):
    due = dict(customer_id=1, obligation_id=64, instalment=3, kind="loan", amount_minor=3_948, enough_minor=3_900)
    due |= dict(currency="GBP", autopay=False)
    told = [("announced", 1, 15), (again, 8, 20), ("cancelled", 19, 20)]
    rows = [
        due | dict(fact=fact, announced_at=np.datetime64(f"2024-08-{known:02d}"), due_on=np.datetime64(f"2024-08-{on}"))
        for fact, known, on in told
    ]
    before = due | dict(instalment=2, fact="announced")
    before |= dict(announced_at=np.datetime64("2024-07-01"), due_on=np.datetime64("2024-07-15"))
    paid = dict(customer_id=1, obligation_id=64, instalment=2, amount_minor=3_948, payment_id=None)
    paid |= dict(paid_at=np.datetime64("2024-07-15"), arrived_at=np.datetime64("2024-07-15"))
    once, twice, newer = online.Customer(), online.Customer(), online.Customer()
    for one_of in (once, twice, newer):
        one_of.update("obligations", before)
        one_of.update("payments", paid)
        for row in rows:
            one_of.update("obligations", row)
    twice.update("obligations", rows[1])
    assert differing(once.emit("2024-12-01"), twice.emit("2024-12-01")) == []
    late = dict(announced_at=np.datetime64("2024-08-25"), fact="moved", due_on=np.datetime64("2024-09-30"))
    newer.update("obligations", rows[1] | late)
    assert differing(once.emit("2024-12-01"), newer.emit("2024-12-01"))


def test_deleting_all_that_arrived_at_or_after_as_of_changes_no_feature(bank, asked, customers):
    for when in asked.as_of.drop_duplicates().sort_values().iloc[40::31]:
        spine = pd.DataFrame({"customer_id": range(customers), "as_of": when})
        kept = {name: t[t[ARRIVAL[name]] < when] for name, t in bank.items()}
        assert differing(values(offline.features(bank, spine)), values(offline.features(kept, spine))) == []


def test_noise_in_the_future_changes_no_feature(bank, asked, customers):
    rng = np.random.default_rng(5)
    for when in asked.as_of.drop_duplicates().sort_values().iloc[50::43]:
        spine = pd.DataFrame({"customer_id": range(customers), "as_of": when})
        noisy = {}
        for name, t in bank.items():
            t, future = t.copy(), (t[ARRIVAL[name]] >= when).to_numpy()
            money = "limit_minor" if name == "accounts" else "amount_minor"
            t[money] = np.where(future, rng.integers(1, 10**7, len(t)), t[money])
            if name == "transactions":
                t["balance_after_minor"] = t["balance_after_minor"].where(~future, 10**9)
            for word in ("category", "status", "kind"):
                if word in t:
                    t[word] = pd.Categorical.from_codes(
                        np.where(future, rng.integers(0, len(t[word].cat.categories), len(t)), t[word].cat.codes),
                        dtype=t[word].dtype,
                    )
            noisy[name] = t
        assert differing(values(offline.features(bank, spine)), values(offline.features(noisy, spine))) == []


def test_every_feature_is_known_somewhere_and_takes_more_than_one_value(bank):
    world = fuzz.tables(13, 150, days=420)
    world["contracts"] = fuzz.contracts(13, world)
    rows = values(offline.features(world, fuzz.about_dues(13, world, fuzz.spine(150))))
    dull = [n for n, column in zip(NAMES, rows.T, strict=True) if len(np.unique(column[~np.isnan(column)])) < 2]
    assert dull == []


def test_features_asked_for_alone_or_by_group_have_the_bits_they_have_among_all(bank, asked, batch):
    choices = (
        [[f for f in CATALOGUE if f.group == g] for g in measures.GROUPS]
        + [[f] for f in CATALOGUE[::23]]
        + [list(CATALOGUE[::-1])]
    )
    some = asked[asked.customer_id % 10 == 0]
    for chosen in choices:
        names = [f.name for f in chosen]
        assert (
            offline.features(bank, some, chosen)[names].to_numpy().tobytes()
            == batch.loc[some.index, names].to_numpy().tobytes()
        ), names[:3]


def test_a_payment_taken_back_long_after_its_due_reopens_the_due():
    def day(k):
        return str(np.datetime64("2025-01-01") + k)

    def due(i):
        return "obligations", dict(
            announced_at=day(30 * i),
            obligation_id=3,
            instalment=i + 1,
            kind="loan",
            autopay=False,
            due_on=day(30 * i + 20),
            amount_minor=500,
        )

    def paid(i, on, amount=500):
        return "payments", dict(
            arrived_at=day(on), paid_at=day(on), obligation_id=3, instalment=i + 1, amount_minor=amount
        )

    kept = [e for i in range(8) for e in (due(i), paid(i, 30 * i + 22 + i))]
    back = [*kept, paid(0, 240, -500)]
    assert row(kept, day(241))["overdue_count"] == 0 and row(kept, day(241))["days_late_max"] == 9
    found = row(back, day(241))
    assert (found["overdue_count"], found["overdue_days"], found["days_late_max"], found["dues_closed"]) == (
        1,
        221,
        221,
        8,
    )
    again = row([*back, paid(0, 242)], day(243))
    assert (again["overdue_count"], again["days_late_max"], again["late_share"]) == (0, 222, 1)


def test_threads_and_partitions_change_no_bit(bank, asked, batch, customers):
    for threads in (1, 2, 3):
        assert values(offline.features(bank, asked, threads=threads)).tobytes() == values(batch).tobytes()
    pieces = [
        offline.features(
            {n: t[t.customer_id.between(low, low + 36)] for n, t in bank.items()},
            asked[asked.customer_id.between(low, low + 36)],
        )
        for low in range(0, customers, 37)
    ]
    assert values(pd.concat(pieces)).tobytes() == values(batch).tobytes()


def test_the_answer_keeps_the_order_and_the_index_of_the_question(bank, asked, batch):
    shuffled = asked.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(offline.features(bank, shuffled).loc[asked.index], batch)


def test_features_without_transactions_are_missing_and_those_of_dues_and_payments_are_not(bank, asked):
    rows = offline.features({n: bank[n] for n in ("obligations", "payments")}, asked)
    for name in (
        "balance",
        "failed_debits_90d",
        "monthly_inflow",
        "category_entropy_60d",
        "pay_late_days",
        "days_since_failed_debits",
    ):
        assert rows[name].isna().all(), name
    for name in (
        "days_late_mean",
        "late_share",
        "next_due",
        "days_since_payment",
        "contract_target_ever",
        "next_due_over_previous_due",
    ):
        assert rows[name].notna().any(), name


def test_features_without_dues_and_payments_are_missing_and_those_of_transactions_are_not(bank, asked):
    rows = offline.features({n: bank[n] for n in ("accounts", "transactions")}, asked)
    for name in ("next_due", "late_share", "overdue_count", "due_count_14d", "contract_target_60d", "late_target_90d"):
        assert rows[name].isna().all(), name
    for name in ("balance", "failed_debits_90d", "low_30d"):
        assert rows[name].notna().any(), name


def test_without_balances_nothing_is_said_about_balances(bank, asked):
    rows = offline.features(
        {
            **bank,
            "transactions": bank["transactions"].assign(
                balance_after_minor=pd.Series(pd.NA, bank["transactions"].index, "Int64")
            ),
        },
        asked,
    )
    for name in (
        "balance",
        "low_30d",
        "overdrawn_30d",
        "balance_over_due_30d",
        "projected_next_due_over_next_due",
        "savings_over_monthly_outgoings",
    ):
        assert rows[name].isna().all(), name


# -- single events, by hand -------------------------------------------------------------------------------------------------

OPEN = ("accounts", dict(opened_on="2025-01-01", account_id=1, kind="current", limit_minor=0))


SEQ = itertools.count()


def move(day, amount, category="groceries", status="booked", arrived=None, **more):
    event = dict(
        booked_at=f"{day}T09:00",
        arrived_at=arrived or f"{day}T09:00",
        seq=next(SEQ),
        account_id=1,
        amount_minor=amount,
        category=category,
        status=status,
    )
    return "transactions", event | dict(counterparty="A", balance_after_minor=None) | more


def row(events, as_of):
    warm = online.Customer()
    for table, event in events:
        warm.update(table, event)
    return dict(zip(NAMES, warm.emit(as_of), strict=True))


def test_a_window_holds_its_first_day_and_not_the_day_of_the_question():
    events = [OPEN, move("2025-03-01", -1, "atm"), move("2025-03-02", -1, "atm"), move("2025-03-15", -1, "atm")]
    assert row(events, "2025-03-16")["cash_withdrawals_14d"] == 2
    assert row(events[:3], "2025-03-15")["cash_withdrawals_14d"] == 2


def test_a_late_event_counts_on_the_day_it_was_booked_from_the_moment_it_arrives():
    late = move("2025-03-01", -1, "atm", arrived="2025-03-10T00:00")
    assert row([OPEN, move("2025-03-05", -1), late], "2025-03-11")["cash_withdrawals_14d"] == 1
    assert row([OPEN, move("2025-03-05", -1), late], "2025-03-16")["cash_withdrawals_14d"] == 0
    when = {c: np.array([late[1][c]], "datetime64[ms]") for c in ("booked_at", "arrived_at")}
    tables = {"transactions": pd.DataFrame([late[1]]).assign(customer_id=0, **when)}
    days = pd.DataFrame({"customer_id": 0, "as_of": pd.to_datetime(["2025-03-10", "2025-03-11"])})
    assert offline.features(tables, days)["cash_withdrawals_14d"].tolist()[1] == 1 and np.isnan(
        offline.features(tables, days)["cash_withdrawals_14d"][0]
    )


def test_an_event_more_than_255_days_older_than_the_newest_is_ignored():
    new, old, kept = (
        move("2025-12-01", -1),
        move("2025-03-20", -5, "atm", arrived="2025-12-01T10:00"),
        move("2025-03-21", -5, "atm", arrived="2025-12-01T10:00"),
    )
    assert row([OPEN, new, old], "2025-12-02")["history_days"] == 1
    assert row([OPEN, new, kept], "2025-12-02")["history_days"] == 256


def test_a_failed_debit_moves_no_money_and_counts_as_failed():
    found = row([OPEN, move("2025-03-01", -100), move("2025-03-20", -5_000, "rent", "failed")], "2025-03-21")
    assert found["failed_debits_30d"] == 1 and found["failed_money_per_monthly_outgoings_90d"] > 0
    assert (
        found["debt_service_per_monthly_inflow_90d"] != found["debt_service_per_monthly_inflow_90d"]
        and found["movements_30d"] == 1
    )


def test_a_reversal_takes_its_money_back_on_its_own_day():
    events = [
        OPEN,
        move("2025-02-01", 90_000, "salary"),
        move("2025-03-01", -6_000, "retail"),
        move("2025-03-10", 6_000, "retail", "reversed"),
    ]
    assert row(events, "2025-03-20")["outgoings_per_monthly_inflow_30d"] == 0
    assert row(events, "2025-03-20")["returned_debits_90d"] == 1
    assert row(events[:3], "2025-03-20")["outgoings_per_monthly_inflow_30d"] > 0


def test_a_silent_customer_still_has_a_row_and_its_windows_move():
    events = [OPEN, *(move(f"2025-03-{d:02d}", -100, "atm", balance_after_minor=1_000) for d in range(1, 29))]
    spine = pd.date_range("2025-04-01", "2026-04-01", freq="7D")
    found = pd.DataFrame([row(events, when) for when in spine])
    assert found.movements_30d.iloc[0] == 27 and found.movements_30d.iloc[5] == 0
    assert (found.days_since_failed_debits == 365).all() and found.history_days.diff().dropna().eq(7).all()
    assert (found.balance == 1_000).all() and found.outgoing_count_pace_30d_180d.isna().iloc[-1]


def test_days_late_are_counted_from_the_due_date_and_an_unpaid_due_is_late_after_two_days():
    due = (
        "obligations",
        dict(
            announced_at="2025-03-01",
            obligation_id=3,
            instalment=1,
            kind="loan",
            autopay=False,
            due_on="2025-03-20",
            amount_minor=500,
        ),
    )

    def paid(day, amount, instalment=1):
        return "payments", dict(
            arrived_at=day, paid_at=day, obligation_id=3, instalment=instalment, amount_minor=amount
        )

    half = [due, paid("2025-03-18", 200)]
    assert row(half, "2025-03-22")["overdue_count"] == 0 and row(half, "2025-03-23")["overdue_days"] == 3
    assert row([*half, paid("2025-03-26", 300)], "2025-03-30")["days_late_last"] == 6
    assert row([*half, paid("2025-03-26", 300), paid("2025-03-28", -300)], "2025-03-30")["overdue_count"] == 1
    assert row(half, "2025-03-19")["part_paid_90d"] == 1


def test_pay_that_does_not_come_is_late_against_the_customers_own_day_moved_off_weekends():
    pay = [
        OPEN,
        *(
            move(day, 200_000, "salary")
            for day in ("2025-01-15", "2025-02-14", "2025-03-14", "2025-04-15", "2025-05-15")
        ),
    ]
    found = row(pay, "2025-06-11")  # 15 June 2025 is a Sunday: expected on Friday the 13th
    assert (found["days_to_pay"], found["pay_late_days"], found["pay_rhythm_days"]) == (2, 0, 30)
    assert row(pay, "2025-06-20")["pay_late_days"] == 7


def test_the_projected_balance_adds_pay_and_takes_off_dues_and_spending():
    def day(k):
        return str(np.datetime64("2025-01-01") + k)

    events = [
        OPEN,
        *(move(day(k), 70_000, "salary", balance_after_minor=70_000) for k in range(0, 84, 7)),
        *(move(day(k), -1_000, balance_after_minor=50_000) for k in range(84)),
    ]
    events.append(
        (
            "obligations",
            dict(
                announced_at=day(83),
                obligation_id=3,
                instalment=1,
                kind="rent",
                autopay=True,
                due_on=day(100),
                amount_minor=40_000,
            ),
        )
    )
    found = row(sorted(events, key=lambda e: str(e[1][ARRIVAL[e[0]]])), day(84))
    spending = 1_000  # a day; pay on days 84, 91 and 98, rent on day 100
    assert found["projected_next_due_over_next_due"] == pytest.approx(
        (50_000 + 3 * 70_000 - 17 * spending - 40_000) / 40_000
    )
    assert found["due_days_after_pay"] == 2


def test_asking_for_a_midnight_before_the_last_arrival_is_refused():
    warm = online.Customer()
    warm.update(*move("2025-03-05", -1))
    with pytest.raises(LeakageError, match="2025-03-06"):
        warm.emit("2025-03-05")


def test_a_ledger_that_is_full_grows():
    warm = online.Customer()
    for i in range(1_000):
        warm.update(
            "obligations",
            dict(
                announced_at="2025-01-01",
                obligation_id=3,
                instalment=i + 1,
                kind="loan",
                autopay=True,
                due_on="2025-02-01",
                amount_minor=1,
            ),
        )
    assert dict(zip(NAMES, warm.emit("2025-01-02"), strict=True))["instalments_left"] == 1_000


# -- on disk ----------------------------------------------------------------------------------------------------------------


def stored(folder, bank, customers):
    people = pd.DataFrame(
        {
            "customer_id": np.arange(customers),
            "source_id": "x",
            "joined_on": pd.Timestamp("2020-01-01"),
            "segment": None,
            "time_zone": "Europe/London",
        }
    )
    people = people.astype({"source_id": "str", "segment": "str", "time_zone": "str", "joined_on": "datetime64[ms]"})
    with disk.writing(folder) as w:
        for part in disk.ranges(customers, 25):
            w.add(
                part,
                {
                    n: t[t.customer_id.between(part.low, part.high - 1)]
                    for n, t in {**bank, "customers": people}.items()
                },
            )


def test_a_panel_written_part_by_part_holds_the_features_of_the_whole(tmp_path, bank, customers):
    stored(tmp_path, bank, customers)
    spine = fuzz.spine(customers, days=200, every=40)
    assert offline.write_panel(tmp_path, tmp_path / "features", spine, progress=False) == len(spine)
    found = disk.read(tmp_path / "features", "panel")
    np.testing.assert_array_equal(found[NAMES].to_numpy(), offline.features(bank, spine)[NAMES].to_numpy(np.float32))


def test_a_panel_that_fails_halfway_is_not_there(tmp_path, bank, customers):
    stored(tmp_path, bank, customers)

    def spine(part):
        if part.low > 20:
            raise KeyboardInterrupt
        return fuzz.spine(part.high, days=200, every=40).query(f"customer_id >= {part.low}")

    with pytest.raises(KeyboardInterrupt):
        offline.write_panel(tmp_path, tmp_path / "features", spine, progress=False)
    assert list((tmp_path / "features").iterdir()) == []


def test_a_question_that_is_no_midnight_is_refused(bank):
    with pytest.raises(SchemaError, match="midnight"):
        offline.features(bank, pd.DataFrame({"customer_id": [0], "as_of": pd.to_datetime(["2024-05-01 12:00"])}))


def test_an_unsorted_table_is_refused(bank, asked):
    with pytest.raises(SchemaError, match="not sorted"):
        offline.features({**bank, "payments": bank["payments"].iloc[::-1]}, asked)


# -- the catalogue ----------------------------------------------------------------------------------------------------------


def test_the_catalogue_covers_all_nine_groups_with_at_least_sixty_features():
    assert len(CATALOGUE) >= 60
    assert {f.group for f in CATALOGUE} == set(measures.GROUPS)


def test_what_is_sensitive_is_never_said_to_a_customer_and_everything_else_can_be():
    for f in CATALOGUE:
        assert f.sensitive == (f.customer is None), f.name
    for word in ("gambling", "medical", "benefits"):
        assert all(f.sensitive for f in CATALOGUE if word in f.name), word


def test_a_learner_is_held_only_to_a_direction_that_an_expert_expects():
    for name, way in catalogue.monotone().items():
        assert way == catalogue.BY_NAME[name].sign != 0


def test_windows_fit_into_the_ring():
    assert max(f.window_days for f in CATALOGUE) <= 180
