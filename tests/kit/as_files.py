"The simulated bank as files of its own: what a bank would export, and the mapping that reads it back."

from pathlib import Path

import pandas as pd

MAPPING = """
source: simulated
currency: GBP
time_zone: Europe/London
files:
  people: {path: customers.csv, columns: {source_id: text, joined_on: date, segment: text}}
  accounts: {path: accounts.csv, columns: {account_id: integer, who: text, kind: text, opened_on: date, limit: decimal}}
  dues:
    path: obligations.csv
    columns: {who: text, obligation_id: integer, instalment: integer, kind: text, announced_at: time, due_on: date, amount: decimal, autopay: text, fact: text}
  moves:
    path: transactions.csv
    columns:
      transaction_id: integer
      who: text
      seq: integer
      account_id: integer
      booked_at: time
      arrived_at: time
      amount: decimal
      category: text
      counterparty: text
      balance: decimal
      status: text
  paid:
    path: payments.csv
    columns: {who: text, obligation_id: integer, instalment: integer, paid_at: time, arrived_at: time, amount: decimal}
tables:
  customers: {from: people, columns: {customer: source_id, joined_on: joined_on, segment: segment}}
  accounts:
    from: accounts
    columns: {account: account_id, customer: who, kind: kind, opened_on: opened_on, limit: '"limit"'}
  obligations:
    from: dues
    columns:
      customer: who
      obligation: obligation_id
      instalment: instalment
      kind: kind
      announced_at: announced_at
      due_on: due_on
      amount: amount
      autopay: autopay = 'True'
      fact: fact
  transactions:
    from: moves
    columns:
      transaction: transaction_id
      customer: who
      account: account_id
      booked_at: booked_at
      arrived_at: arrived_at
      order: seq
      amount: amount
      category: category
      counterparty: counterparty
      balance_after: balance
      status: status
  payments:
    from: paid
    columns:
      customer: who
      obligation: obligation_id
      instalment: instalment
      paid_at: paid_at
      arrived_at: arrived_at
      amount: amount
"""


def frames(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    "Canonical tables as a bank would show them: amounts in major units, customers by the bank's own ids."
    who = tables["customers"].set_index("customer_id").source_id
    found = {}
    for name, table in tables.items():
        frame = table.copy()
        frame["who"] = frame.customer_id.map(who)
        for column in [c for c in frame if c.endswith("_minor")]:
            frame[column.removesuffix("_after_minor").removesuffix("_minor")] = frame[column] / 100
        found[name] = frame
    return found


def write(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    "The tables as CSV."
    for name, frame in frames(tables).items():
        dated = {c: frame[c].dt.strftime("%Y-%m-%d %H:%M:%S.%f").str[:-3] for c in frame if c.endswith("_at")}
        frame.assign(**dated).to_csv(folder / f"{name}.csv", index=False)
