"""A bank of three dues: a mapping and a file that the tests bend."""

from datetime import date, timedelta
from pathlib import Path

from predelinquency.sources import mapping as sources_mapping

MAPPING = """
source: small
currency: EUR
time_zone: Europe/Vienna
files:
  book:
    path: book.csv
    key: number
    columns: {number: integer, name: text, due: date, paid: time, sum: decimal, kind: code kind, money: currency}
codes:
  kind: {KR: loan, HY: mortgage}
tables:
  customers:
    from: (select name, min(due) as first from book group by name)
    columns: {customer: name, joined_on: first - 100}
  obligations:
    from: book
    columns: {customer: name, obligation: number, instalment: 1, kind: kind, announced_at: due - 30, due_on: due, amount: sum, currency: money}
  payments:
    from: book
    columns: {customer: name, obligation: number, instalment: 1, paid_at: paid, amount: sum}
    keep: {it was paid: paid is not null}
"""

BOOK = """number,name,due,paid,sum,kind,money
1,Anna,2024-02-01,2024-02-01 10:00:00,250.00,KR,EUR
2,Anna,2024-03-01,2024-03-09 10:00:00,250.00,KR,EUR
3,Béla,2024-02-01,,1180.50,HY,EUR
"""


def bank(
    folder: Path, mapping: str = MAPPING, book: str | bytes = BOOK, encoding: str = "utf-8"
) -> sources_mapping.Mapping:
    "Write the file (an empty text writes none) and read the mapping."
    if book:
        (folder / "book.csv").write_bytes(book if isinstance(book, bytes) else book.encode(encoding))
    return sources_mapping.parse_mapping(mapping, "small.yaml")


ACCOUNTS = """  accounts:
    from: (select name, min(due) as first from book group by name)
    columns: {account: name, customer: name, kind: "'current'", opened_on: first - 100}
"""


def extract(first: str, last: str, customers: int = 28, unpaid_from: str = "9999-12-31") -> str:
    "A book in which everybody pays a loan each month on the day it is due, as seen from `first` to `last`; the schedule runs on for a quarter. From `unpaid_from` on no payment is in the book."
    due = [
        d
        for d in (
            date.fromisoformat(first) + timedelta(n)
            for n in range((date.fromisoformat(last) - date.fromisoformat(first)).days + 91)
        )
        if d.day <= 28
    ]
    rows = [(d, who) for d in due for who in range(customers) if d.day == 1 + who % 28]
    paid = [f"{d} 10:00:00" if str(d) <= last and str(d) < unpaid_from else "" for d, _ in rows]
    return "number,name,due,paid,sum,kind,money\n" + "".join(
        f"{n},C{who},{d},{at},250.00,KR,EUR\n" for n, ((d, who), at) in enumerate(zip(rows, paid, strict=True), 1)
    )
