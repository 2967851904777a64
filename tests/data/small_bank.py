"""A bank of three dues: a mapping and a file that the tests bend."""
from pathlib import Path

from predelinquency import sources

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


def bank(folder:Path, mapping:str=MAPPING, book:str|bytes=BOOK, encoding:str="utf-8")->sources.Mapping:
    "Write the file (an empty text writes none) and read the mapping."
    if book: (folder/"book.csv").write_bytes(book if isinstance(book, bytes) else book.encode(encoding))
    return sources.parse(mapping, "small.yaml")
