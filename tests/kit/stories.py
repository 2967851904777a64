"The stories about dues, told to both doors of the house: as a bank's files, and as requests of one customer."

import csv
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[1] / "ground/stories.yaml"
FIRST, LAST = date(2024, 1, 1), date(2026, 1, 1)  # of the record, where a story says nothing

MAPPING = """
source: stories
currency: GBP
time_zone: Europe/London
holidays: CALENDAR
files:
  people: {path: people.csv, columns: {who: text}}
  due: {path: due.csv, columns: {who: text, contract: text, instalment: integer, kind: text, known: time, due: date, amount: decimal, fact: text}}
  paid: {path: paid.csv, columns: {who: text, contract: text, instalment: integer, paid: time, known: time, amount: decimal, id: text, takes_back: text}}
  moved: {path: moved.csv, columns: {who: text, booked: time, amount: decimal}}
tables:
  customers: {from: people, columns: {customer: who, joined_on: "timestamp '2020-01-01'"}}
  accounts:
    from: people
    columns: {account: who, customer: who, kind: "'current'", opened_on: "timestamp '2020-01-01'"}
  transactions:
    from: moved
    columns: {transaction: _row, customer: who, account: who, booked_at: booked, amount: amount, category: "'groceries'"}
  obligations:
    from: due
    columns:
      customer: who
      obligation: contract
      instalment: instalment
      kind: kind
      announced_at: known
      due_on: due
      amount: amount
      fact: fact
      autopay: case when fact = 'announced' then false end
  payments:
    from: paid
    columns:
      customer: who
      obligation: contract
      instalment: instalment
      paid_at: paid
      arrived_at: known
      amount: amount
      payment: id
      takes_back: takes_back
"""


def load() -> list[dict[str, Any]]:
    "All stories, with what they leave out filled in."
    found = yaml.safe_load(FILE.read_text())
    usual = dict(changes=[], payments=[], calendar="none", recorded={"from": FIRST, "to": LAST})
    return [usual | story for story in found]


def moment(text: object) -> datetime:
    "A day or a minute of a story."
    if isinstance(text, str):
        return datetime.fromisoformat(text)
    return datetime.combine(text, datetime.min.time())  # type: ignore[arg-type]


def minor(text: str) -> int:
    return int(Decimal(text) * 100)


def facts(story: dict[str, Any]) -> list[dict[str, Any]]:
    "What was announced and what was agreed later, in the order in which it was known."
    rows = [d | dict(known=d["announced"], fact="announced") for d in story["dues"]]
    first = {(d["contract"], d["instalment"]): d for d in rows}
    for change in sorted(story["changes"], key=lambda c: c["known"]):
        of = first[change["contract"], change["instalment"]]
        rows.append(dict(kind=of["kind"], due=None, amount=None) | change)
    return rows


def money(story: dict[str, Any]) -> list[dict[str, Any]]:
    usual = dict(instalment=None, id=None, takes_back=None)
    return [usual | dict(known=p["paid"]) | p for p in story["payments"]]


def files(folder: Path, stories: dict[str, dict[str, Any]], recorded_from: date) -> None:
    "The stories of one calendar and one beginning as a bank's files; somebody else's life shows when payments were recorded."
    weeks = [recorded_from + timedelta(days=d) for d in range(0, (date(2026, 7, 1) - recorded_from).days, 7)]
    due = [
        dict(
            who="else",
            contract="else",
            instalment=i,
            kind="subscription",
            known=week,
            due=week,
            amount="5.00",
            fact="announced",
        )
        for i, week in enumerate(weeks, 1)
    ]
    paid = [
        dict(who="else", contract="else", instalment=i, paid=week, known=week, amount="5.00")
        for i, week in enumerate(weeks, 1)
    ]
    for who, story in stories.items():
        due += [f | dict(who=who, contract=f"{who}-{f['contract']}") for f in facts(story)]
        named = {k: f"{who}/{{}}" for k in ("id", "takes_back")}
        paid += [
            p
            | dict(who=who, contract=f"{who}-{p['contract']}")
            | {k: text.format(p[k]) for k, text in named.items() if p[k] is not None}
            for p in money(story)
        ]
    tables = dict(
        people=[dict(who=who) for who in ("else", *stories)],
        due=due,
        paid=paid,
        moved=[dict(who="else", booked=week, amount="-5.00") for week in weeks],
    )
    columns = dict(
        people=["who"],
        due=["who", "contract", "instalment", "kind", "known", "due", "amount", "fact"],
        paid=["who", "contract", "instalment", "paid", "known", "amount", "id", "takes_back"],
        moved=["who", "booked", "amount"],
    )
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", newline="") as f:
            writer = csv.DictWriter(f, columns[name], extrasaction="ignore", restval="")
            writer.writeheader()
            for row in rows:
                times = {k: moment(row[k]).isoformat(" ") for k in ("known", "paid", "booked") if k in row}
                writer.writerow({k: "" if v is None else v for k, v in (row | times).items()})


def request(story: dict[str, Any]) -> dict[str, Any]:
    "What a program would send of the story's customer on the day that is asked about."
    now, contracts = (
        moment(story["asked"]),
        {c: i for i, c in enumerate(sorted({d["contract"] for d in story["dues"]}))},
    )
    rows, last = [], {}
    for f in sorted(facts(story), key=lambda f: moment(f["known"])):
        key = f["contract"], f["instalment"]
        whole = {k: f[k] if f[k] is not None else last[key][k] for k in ("due", "amount")}
        last[key] = f | whole
        if moment(f["known"]) < now:
            rows.append(last[key])
    paid = [p for p in money(story) if moment(p["known"]) < now]
    return dict(
        customer_id=1,
        as_of=str(story["asked"]),
        currency="GBP",
        source_id="C-1",
        time_zone="Europe/London",
        joined_on="2020-01-01",
        holidays=story["calendar"],
        recorded_from=str(story["recorded"]["from"]),
        transactions=dict(booked_at=[], amount_minor=[], category=[]),
        obligations=dict(
            obligation_id=[contracts[f["contract"]] for f in rows],
            instalment=[f["instalment"] for f in rows],
            kind=[f["kind"] for f in rows],
            announced_at=[moment(f["known"]).isoformat() for f in rows],
            due_on=[str(f["due"]) for f in rows],
            amount_minor=[minor(f["amount"]) for f in rows],
            autopay=[False for _ in rows],
            fact=[f["fact"] for f in rows],
        ),
        payments=dict(
            obligation_id=[contracts[p["contract"]] for p in paid],
            instalment=[p["instalment"] for p in paid],
            paid_at=[moment(p["paid"]).isoformat() for p in paid],
            arrived_at=[moment(p["known"]).isoformat() for p in paid],
            amount_minor=[minor(p["amount"]) for p in paid],
            payment_id=[p["id"] for p in paid],
            takes_back=[p["takes_back"] for p in paid],
        ),
    )
