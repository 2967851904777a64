"""A violation of a table's contract names table, column, row, value, expectation and remedy."""

import pandas as pd
import pytest

from predelinquency.ground import schema
from predelinquency.ground.core import SchemaError

DAY = pd.Timestamp("2025-03-03")
# fmt: off
GOOD = {
    "customers": dict(customer_id=[1, 2], source_id=["a", "b"], joined_on=DAY, segment=pd.Series([None, "plus"], dtype="str"), time_zone="Europe/London"),
    "accounts": dict(account_id=[10, 20], customer_id=[1, 2], kind="current", opened_on=DAY, currency="GBP", limit_minor=[0, 5]),
    "obligations": dict(customer_id=[1, 1], obligation_id=7, instalment=[1, 2], kind="rent", announced_at=DAY, due_on=DAY, amount_minor=[900, 900], currency="GBP", autopay=True, fact="announced", enough_minor=[9, 900]),
    "transactions": dict(customer_id=[1, 1], seq=[0, 1], transaction_id=[5, 6], account_id=10, booked_at=DAY, arrived_at=DAY, amount_minor=[100, -40], currency="GBP", category="salary",
                         counterparty="Mill", balance_after_minor=[100, 60], status="booked"),
    "payments": dict(customer_id=[1, 2], obligation_id=7, instalment=1, paid_at=DAY, arrived_at=DAY, due_on=DAY, amount_minor=[900, -900], payment_id=[4, 5]),
    "contracts": dict(customer_id=[1, 1], obligation_id=7, known_at=[DAY, DAY + pd.Timedelta(days=9)], currency="GBP", principal_minor=[0, 5], term=[1, 12], rate=[0.05, None]),
    "moments": dict(customer_id=[1, 1], as_of=DAY, obligation_id=[7, 8], instalment=[1, 2], target=[0, 1], known_on=DAY, seen_before=False, reference="L-1"),
}
# fmt: on
TABLES = schema.TABLES | schema.EXTRA
# fmt: off
BAD = [ # table, column, values that break it, what must be said
    ("customers", "customer_id", [3, 3], ("column customer_id", "int64 >= 0 unique", "row 0: 3", "row 1: 3", "give every customer one row")),
    ("customers", "joined_on", [DAY, pd.NaT], ("column joined_on", "a time", "row 1: NaT")),
    ("accounts", "currency", ["GBP", "EUX"], ("column currency", "one of GBP, EUR", "row 1: 'EUX'", "use an ISO 4217 code")),
    ("accounts", "limit_minor", [0, -5], ("column limit_minor", ">= 0", "row 1: -5")),
    ("obligations", "amount_minor", [0, 900], ("column amount_minor", ">= 1", "row 0: 0")),
    ("obligations", "kind", ["rent", "rnt"], ("column kind", "one of loan, card, mortgage, rent", "row 1: 'rnt'")),
    ("obligations", "announced_at", [DAY, DAY + pd.Timedelta(days=1)], ("a due is announced or moved on or before its date", "row 1: announced_at=2025-03-04", "check both dates")),
    ("obligations", "fact", ["announced", "moved"], ("a due is announced once", "row 1", "fact=moved", "begin each due with `announced`")),
    ("obligations", "enough_minor", [901, 900], ("no more than the amount", "row 0: amount_minor=900, enough_minor=901")),
    ("transactions", "transaction_id", [5, 5], ("column transaction_id", "unique", "row 0: 5", "drop the duplicate")),
    ("transactions", "category", ["salary", "sallary"], ("column category", "row 1: 'sallary'", "map the source's code")),
    ("transactions", "status", ["booked", "gone"], ("column status", "booked, failed, reversed", "row 1: 'gone'")),
    ("transactions", "arrived_at", [DAY, DAY - pd.Timedelta(days=1)], ("nothing arrives before it is booked", "row 1: booked_at=2025-03-03", "arrived_at=2025-03-02", "check both times")),
    ("transactions", "seq", [0, 0], ("rows ascend by customer_id, seq", "row 1: customer_id=1, seq=0", "sort by")),
    ("transactions", "seq", [0., 1.], ("column seq", "its type is float64", "make seq a column of int32")),
    ("payments", "arrived_at", [DAY, DAY - pd.Timedelta(days=1)], ("nothing arrives before it is paid", "row 1", "check both times")),
    ("contracts", "term", [0, 12], ("column term", "int32 >= 1", "row 0: 0")),
    ("contracts", "known_at", [DAY, DAY], ("rows ascend by customer_id, obligation_id, known_at", "row 1")),
    ("moments", "instalment", [0, 2], ("column instalment", ">= 1", "row 0: 0")),
    ("moments", "obligation_id", [8, 7], ("rows ascend by customer_id, as_of, obligation_id, instalment", "row 1")),
    ("moments", "target", [0, 2], ("target is 0 or 1", "row 1: customer_id=1, target=2", "write the target as 0 or 1")),
    ("moments", "as_of", [DAY, DAY + pd.Timedelta(hours=1)], ("as_of is a midnight", "row 1", "take the midnight")),
]
# fmt: on


def rows(table: str, **changes: object) -> pd.DataFrame:
    "Two good rows, with the changes, in the types of the contract where the values allow it."
    frame = pd.DataFrame(GOOD[table] | changes, index=range(2))
    for c in TABLES[table].columns:
        if c.kind == "time":
            frame[c.name] = frame[c.name].astype("datetime64[ms]")
        elif c.words:
            frame[c.name] = pd.Categorical(frame[c.name], categories=list(dict.fromkeys([*c.words, *frame[c.name]])))
        elif c.kind in ("int32", "int64") and frame[c.name].dtype.kind == "i":
            frame[c.name] = frame[c.name].astype(c.kind)
    return frame


@pytest.mark.parametrize("table", TABLES)
def test_good_rows_pass_in_the_order_of_the_contract(table: str):
    frame = rows(table)
    assert list(schema.validate(TABLES[table], frame[frame.columns[::-1]])) == TABLES[table].names


@pytest.mark.parametrize("table,column,values,words", BAD, ids=[f"{t}.{c}={v[1]}" for t, c, v, _ in BAD])
def test_a_violation_is_named(table: str, column: str, values: list[object], words: tuple[str, ...]):
    with pytest.raises(SchemaError) as told:
        schema.validate(TABLES[table], rows(table, **{column: values}), "part 7")
    assert [w for w in ("part 7", f"table {table}", *words) if w not in str(told.value)] == []
    assert told.value.remedy and "np." not in str(told.value)


@pytest.mark.parametrize("table", TABLES)
def test_a_column_that_is_missing_or_unknown_is_named(table: str):
    frame = rows(table)
    for broken, said in (
        (frame.drop(columns=frame.columns[1]), f"lacks column {frame.columns[1]}"),
        (frame.assign(age=40), "has column age, which its contract does not know"),
    ):
        with pytest.raises(SchemaError, match=f"table {table} {said}"):
            schema.validate(TABLES[table], broken)
