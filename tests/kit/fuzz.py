"Random canonical tables that keep every contract and little else: late, reversed and failed rows, ties, silent customers, gaps."

import numpy as np
import pandas as pd

from predelinquency.ground.schema import (
    ACCOUNT_KINDS,
    ACCOUNTS,
    ANY,
    CATEGORIES,
    CONTRACTS,
    FACTS,
    NO_DUE,
    OBLIGATION_KINDS,
    OBLIGATIONS,
    PAYMENTS,
    STATUSES,
    TRANSACTIONS,
    validate,
)

DAY = 86_400_000
START = int(np.datetime64("2024-01-01", "D").astype(int))


def times(ms):
    return np.asarray(ms, np.int64).astype("datetime64[ms]")


def words(positions, vocabulary):
    return pd.Categorical.from_codes(np.asarray(positions, int), categories=list(vocabulary))


def accounts(rng, customers):
    rows = []
    for c in customers:
        kinds = [0, *rng.choice([0, 1, 2, 4], size=rng.integers(0, 3))]
        rows += [
            (10 * c + i, c, k, (START - int(rng.integers(-60, 900))) * DAY, int(rng.choice([0, 50_000])))
            for i, k in enumerate(kinds)
        ]
    a = pd.DataFrame(rows, columns=["account_id", "customer_id", "kind", "opened_on", "limit_minor"])
    a = a.assign(
        kind=words(a.kind, ACCOUNT_KINDS), opened_on=times(a.opened_on), currency=words(np.zeros(len(a)), ["GBP"])
    )
    return validate(ACCOUNTS, a)


def obligations(rng, customers, days):
    rows = []
    for c in customers:
        for o in range(int(rng.integers(0, 5))):
            first, every, n, at_once = (
                START + int(rng.integers(-40, days)),
                int(rng.choice([7, 15, 30])),
                int(rng.integers(1, 20)),
                rng.random() < 0.5,
            )
            lead, auto = int(rng.integers(0, 40)), rng.random() < 0.5
            for i in range(n):
                due = first + lead + every * i
                announced = (first if at_once else max(due - lead, first)) * DAY + int(
                    rng.choice([0, rng.integers(0, DAY)])
                )
                auto = auto if rng.random() < 0.95 else not auto
                rows.append(
                    (
                        c,
                        7 * c + 1_000 * o,
                        i + 1,
                        int(o * 3 + c) % len(OBLIGATION_KINDS),
                        min(announced, due * DAY + DAY - 1),
                        due * DAY,
                        int(rng.integers(1, 90_000)),
                        auto,
                    )
                )
    o = pd.DataFrame(
        rows,
        columns=[
            "customer_id",
            "obligation_id",
            "instalment",
            "kind",
            "announced_at",
            "due_on",
            "amount_minor",
            "autopay",
        ],
    )
    o = o.astype(
        {"customer_id": "int64", "obligation_id": "int64", "instalment": "int32", "autopay": bool}
    ).sort_values(["customer_id", "obligation_id", "instalment"], ignore_index=True)
    return with_facts(rng, o)


def with_facts(rng, o):
    "One due in eight is changed once or twice: moved to another day or amount, or ended; a few were never seen."
    fact = np.where(rng.random(len(o)) < 0.02, FACTS.index("unseen"), 0)
    rows = [o.assign(fact=fact)]
    for share in (0.12, 0.04):
        some = o[rng.random(len(o)) < share]
        fact, shift = rng.integers(2, len(FACTS), len(some)), rng.integers(0, 60, len(some)) * DAY
        known = some.due_on // DAY * DAY - shift + rng.integers(0, 90, len(some)) * DAY
        known = np.maximum(known, some.announced_at + 1)
        moved, amount = (
            fact == FACTS.index("moved"),
            np.maximum(some.amount_minor * rng.choice([1, 2], len(some)) // 2, 1),
        )
        later = known // DAY * DAY + rng.integers(0, 40, len(some)) * DAY
        rows.append(
            some.assign(
                announced_at=known,
                fact=fact,
                due_on=np.where(moved, later, some.due_on),
                amount_minor=np.where(moved, amount, some.amount_minor),
            )
        )
    key = ["customer_id", "obligation_id", "instalment", "announced_at"]
    o = pd.concat(rows).drop_duplicates(key).sort_values(key, ignore_index=True)
    spare = np.minimum(rng.choice([0, 100]), o.amount_minor // 100)
    o = o.assign(
        kind=words(o.kind, OBLIGATION_KINDS),
        announced_at=times(o.announced_at),
        due_on=times(o.due_on),
        currency=words(np.zeros(len(o)), ["GBP"]),
        fact=words(o.fact, FACTS),
        enough_minor=np.maximum(o.amount_minor - spare, 1),
    )
    return validate(OBLIGATIONS, o)


def payments(rng, dues, days):
    rows = []
    for d in dues.itertuples():
        due = int(pd.Timestamp(d.due_on).value // 1_000_000)
        if d.fact != "announced" and rng.random() < 0.5:
            continue
        for _ in range(int(rng.choice([0, 1, 1, 1, 2, 3]))):
            paid = due + int(rng.integers(-12, 14)) * DAY + int(rng.integers(0, DAY))
            amount = int(
                rng.choice(
                    [d.amount_minor, d.enough_minor, d.enough_minor - 1, (d.amount_minor + 1) // 2, -d.amount_minor]
                )
            )
            rows.append((d.customer_id, d.obligation_id, d.instalment, paid, paid + late(rng), due, amount))
        if rng.random() < 0.02:
            rows.append((d.customer_id, d.obligation_id + 5_000_000, 1, due, due, due, 100))
    y = pd.DataFrame(
        rows, columns=["customer_id", "obligation_id", "instalment", "paid_at", "arrived_at", "due_on", "amount_minor"]
    )
    y = y.astype({"customer_id": "int64", "obligation_id": "int64", "instalment": "int32", "amount_minor": "int64"})
    y = y.sample(frac=1, random_state=int(rng.integers(1 << 31))).sort_values(
        "customer_id", kind="stable", ignore_index=True
    )
    own = pd.Series(rng.integers(0, 1 << 60, len(y)), dtype="Int64").where(rng.random(len(y)) < 0.5)
    return validate(
        PAYMENTS,
        y.assign(
            paid_at=times(y.paid_at),
            arrived_at=times(y.arrived_at),
            due_on=times(y.due_on),
            payment_id=own,
        ),
    )


def late(rng):
    return int(
        rng.choice([0, 0, 0, rng.integers(0, 2 * DAY), rng.integers(0, 9 * DAY), 300 * DAY * (rng.random() < 0.02)])
    )


def one_life(rng, c, days, account_ids, most):
    n = int(rng.choice([0, rng.integers(1, 20), rng.integers(most // 8, most)]))
    busy = np.sort(rng.integers(0, int(rng.integers(2, days + 1)), n)) + int(rng.integers(0, 20))
    monthly = (
        {d: "salary" for d in range(int(rng.integers(0, 30)), days, int(rng.choice([7, 14, 30, 31])))}
        if rng.random() < 0.7
        else {}
    )
    moves = [(int(d), str(rng.choice(CATEGORIES))) for d in busy] + [
        (d + int(rng.integers(0, 3)), w) for d, w in monthly.items()
    ]
    rows, balance = [], {a: int(rng.integers(0, 200_000)) for a in account_ids}
    for seq, (d, word) in enumerate(sorted(moves)):
        incoming = word == "salary" or rng.random() < 0.25
        amount = (1 if incoming else -1) * int(
            rng.choice([0, rng.integers(1, 500), rng.integers(1_000, 90_000), 150_000], p=[0.01, 0.19, 0.7, 0.1])
        )
        status, account = int(rng.choice([0, 0, 0, 0, 0, 0, 0, 1, 2])), int(rng.choice(account_ids))
        party = f"party {int(rng.integers(0, 60))}" if rng.random() < 0.9 else None
        if rows and rng.random() < 0.12:  # something is taken back: reversed, or booked against its way
            back = rows[-int(rng.integers(1, min(len(rows), 150) + 1))]
            account, amount, word, party = back[3], -back[6], CATEGORIES[back[7]], rng.choice([back[8], None])
            status = int(rng.choice([0, 2]))
        if status != 1:
            balance[account] += amount
        at = (START + d) * DAY + (0 if rng.random() < 0.3 else 3_600_000 * int(rng.integers(0, 24)))
        rows.append(
            (
                c,
                seq,
                1_000_000 * c + seq,
                account,
                at,
                at + late(rng),
                amount,
                CATEGORIES.index(word),
                party,
                balance[account] if rng.random() < 0.97 else None,
                status,
            )
        )
    return rows


def transactions(rng, accts, customers, days, most):
    own = accts.groupby("customer_id").account_id.apply(list).to_dict()
    rows = [r for c in customers for r in one_life(rng, c, days, [*own[c], 10 * c + 9], most)]
    t = pd.DataFrame(
        rows,
        columns=[
            "customer_id",
            "seq",
            "transaction_id",
            "account_id",
            "booked_at",
            "arrived_at",
            "amount_minor",
            "category",
            "counterparty",
            "balance_after_minor",
            "status",
        ],
    )
    t = t.astype(
        {
            "customer_id": "int64",
            "seq": "int32",
            "transaction_id": "int64",
            "account_id": "int64",
            "amount_minor": "int64",
            "counterparty": "str",
            "balance_after_minor": "Int64",
        }
    )
    t = t.assign(
        counterparty=pd.Series([r[8] for r in rows], dtype="str"),
        category=words(t.category, CATEGORIES),
        status=words(t.status, STATUSES),
        booked_at=times(t.booked_at),
        arrived_at=times(t.arrived_at),
        currency=words(np.zeros(len(t)), ["GBP"]),
    )
    return validate(TRANSACTIONS, t)


def tables(seed, customers=40, days=420, most=400):
    "Four tables of a bank in which everything that may happen does; nobody has more than `most` transactions besides pay."
    rng = np.random.default_rng(seed)
    ids = np.arange(customers)
    a, o = accounts(rng, ids), obligations(rng, ids, days)
    return {
        "accounts": a,
        "obligations": o,
        "transactions": transactions(rng, a, ids, days, most),
        "payments": payments(rng, o, days),
    }


def arrivals(tables):
    "One question about each customer at every midnight that follows an arrival."
    when = {
        "accounts": "opened_on",
        "obligations": "announced_at",
        "transactions": "arrived_at",
        "payments": "arrived_at",
    }
    rows = pd.concat(
        [t[["customer_id"]].assign(as_of=t[when[n]].dt.normalize() + pd.Timedelta(days=1)) for n, t in tables.items()]
    )
    return rows.drop_duplicates().sort_values(["customer_id", "as_of"], ignore_index=True)


def spine(customers=40, days=420, every=7, first=60):
    "Weekly questions about everybody."
    when = times((START + np.arange(first, days, every)) * DAY)
    return pd.DataFrame({"customer_id": np.repeat(np.arange(customers), len(when)), "as_of": np.tile(when, customers)})


def contracts(seed, tables):
    "What some of the contracts declare, once or twice; a part of it unknown."
    rng = np.random.default_rng(seed)
    owed = tables["obligations"].groupby(["customer_id", "obligation_id"], as_index=False).announced_at.min()
    said = pd.concat([owed[rng.random(len(owed)) < share] for share in (0.7, 0.4)], ignore_index=True)
    n = len(said)
    known = said.announced_at + pd.to_timedelta(rng.integers(0, 100 * DAY, n) // 1_000 * 1_000, unit="ms")
    said = said.drop(columns="announced_at").assign(
        known_at=known.astype("datetime64[ms]"),
        currency=words(np.zeros(n), ["GBP"]),
        principal_minor=pd.Series(rng.integers(0, 900_000, n), dtype="Int64").where(rng.random(n) < 0.8),
        term=pd.Series(rng.integers(1, 60, n), dtype="Int32").where(rng.random(n) < 0.8),
        rate=np.where(rng.random(n) < 0.8, rng.random(n) / 4, np.nan),
    )
    key = ["customer_id", "obligation_id", "known_at"]
    return validate(CONTRACTS, said.drop_duplicates(key).sort_values(key, ignore_index=True))


def about_dues(seed, tables, spine):
    "The same questions, most of them about a due or a contract of the customer; one in ten about one that is not there."
    rng = np.random.default_rng(seed)
    own = tables["obligations"].groupby("customer_id").obligation_id.unique().to_dict()
    named = [int(rng.choice([*own.get(c, []), 77, NO_DUE])) for c in spine.customer_id]
    number = np.where(np.array(named) == NO_DUE, ANY, rng.integers(0, 8, len(spine)))
    return spine.assign(obligation_id=np.array(named, np.int64), instalment=number.astype(np.int32))
