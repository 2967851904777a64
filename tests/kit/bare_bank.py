"""A bank whose files lack something: loans of one kind, no accounts and no transactions unless asked for; whoever misses, misses by a plan."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

FIRST, LAST = date(2024, 1, 1), date(2025, 7, 31)
HEAD = """source: bare
currency: EUR
time_zone: Europe/Vienna
files:
  book: {path: book.csv, key: [who, n], columns: {who: text, n: integer, due: date, paid: date, amount: decimal}}
"""
CUSTOMERS = (
    "  customers: {from: (select distinct who from book), columns: {customer: who, joined_on: date '2023-09-01'}}\n"
)
DUES = """  obligations: {from: book, columns: {customer: who, obligation: who, instalment: n, kind: "'loan'", announced_at: due - 30, due_on: due, amount: amount}}
  payments: {from: book, columns: {customer: who, obligation: who, instalment: n, paid_at: paid, amount: amount}, keep: {it was paid: paid is not null}}
"""
MONEY = """  accounts: {from: (select distinct who from book), columns: {account: who, customer: who, kind: "'current'", opened_on: date '2023-09-01'}}
  transactions:
    from: book
    columns: {transaction: who || '-' || n, customer: who, account: who, booked_at: due - 3, amount: amount * 2, category: "'salary'", balance_after: amount * 3}
"""
MOMENTS = """  moments:
    from: (select who, date '2024-12-20' as asked, max(case when paid is null or paid > due + 5 then 1 else 0 end) as bad from book where n = 13 group by who)
    columns: {customer: who, as_of: asked, target: bad, seen_before: "false"}
"""
Missed = Callable[[int, date], bool]  # number of the customer, due date → nothing is ever paid for it


def every_eighth(who: int, due: date) -> bool:
    "Somebody misses in every month, each customer seldom."
    return (who * 7 + due.month + 12 * due.year) % 8 == 0 and who % 3 != 0


def book(customers: int, missed: Missed) -> str:
    "One loan each, due monthly; missed instalments are paid three weeks late, so that arrears end."
    rows = []
    for who in range(customers):
        months = [date(FIRST.year + m // 12, m % 12 + 1, 1 + who % 28) for m in range(19)]
        for n, due in enumerate(months, 1):
            paid = due + timedelta(days=21) if missed(who, due) else due
            rows.append(f"C{who},{n},{due},{paid if paid <= LAST else ''},{100 + who % 50}.00\n")
    return "who,n,due,paid,amount\n" + "".join(rows)


def bank(
    folder: Path,
    customers: int = 300,
    missed: Missed = every_eighth,
    dues: bool = True,
    money: bool = False,
    moments: bool = False,
) -> Path:
    "Write the files; the mapping's path comes back."
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "book.csv").write_text(book(customers, missed))
    tables = CUSTOMERS + DUES * dues + MONEY * money + MOMENTS * moments
    (folder / "bare.yaml").write_text(HEAD + "tables:\n" + tables)
    return folder / "bare.yaml"
