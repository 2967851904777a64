"""The plain way to a row of features: look at everything that had arrived, every time, without state, rings or compiled code.

Written from the sentences of the catalogue and the fold's rules of order, as the oracle for the tests. Slow on purpose.
"""

import datetime as dt
import math
from functools import lru_cache
from statistics import median_high

import numpy as np

from predelinquency.features.calculations import NEVER_DAYS, SOURCES, Op
from predelinquency.features.catalogue import CATALOGUE
from predelinquency.features.measures import MEASURES, VARIETY
from predelinquency.features.quantities import Q
from predelinquency.ground.schema import CATEGORY_GROUP, TARGET_KINDS

DAY = 86_400_000
NAN = float("nan")
CLASS = {"current": "current", "savings": "savings", "term_deposit": "savings", "card": "card", "loan": "card"}


def ms(column):
    return column.to_numpy().astype("datetime64[ms]").astype(np.int64).tolist()


class Life:
    "One customer's rows, as lists in order of arrival."

    def __init__(self, tables, customer):
        a, o, t, y = (
            tables[n][tables[n].customer_id == customer]
            for n in ("accounts", "obligations", "transactions", "payments")
        )
        self.accounts = sorted(
            zip(
                ms(a.opened_on),
                range(len(a)),
                a.account_id.tolist(),
                a.kind.astype(str).tolist(),
                a.limit_minor.tolist(),
                strict=True,
            )
        )
        self.dues = sorted(
            zip(
                ms(o.announced_at),
                range(len(o)),
                o.obligation_id.tolist(),
                o.instalment.tolist(),
                o.kind.astype(str).tolist(),
                ms(o.due_on),
                o.amount_minor.tolist(),
                o.autopay.tolist(),
                o.enough_minor.tolist(),
                o.fact.astype(str).tolist(),
                strict=True,
            )
        )
        balances = [
            None if b is None or b != b else int(b)
            for b in t.balance_after_minor.astype(object).where(t.balance_after_minor.notna(), None).tolist()
        ]
        names = [None if n is None or n != n else n for n in t.counterparty.astype(object).tolist()]
        self.moves = sorted(
            zip(
                ms(t.arrived_at),
                range(len(t)),
                t.seq.tolist(),
                ms(t.booked_at),
                t.account_id.tolist(),
                t.amount_minor.tolist(),
                t.category.astype(str).tolist(),
                t.status.astype(str).tolist(),
                names,
                balances,
                strict=True,
            ),
            key=lambda r: (r[0], r[2], r[1]),
        )
        self.payments = sorted(
            zip(
                ms(y.arrived_at),
                range(len(y)),
                ms(y.paid_at),
                y.obligation_id.tolist(),
                y.instalment.tolist(),
                y.amount_minor.tolist(),
                y.payment_id.fillna(0).tolist(),
                strict=True,
            )
        )


def merged(life, now):
    "Everything that arrived before `now`: accounts, dues, transactions and payments in order of arrival."
    rows = [
        (e[0], kind, i, e)
        for kind, events in enumerate((life.accounts, life.dues, life.moves, life.payments))
        for i, e in enumerate(events)
        if e[0] < now
    ]
    return [(kind, e) for _, kind, _, e in sorted(rows, key=lambda r: r[:3])]


def worth(m, category, status, amount, account_class):
    "What a transaction is worth to a measure."
    if m.direction == "note" or category not in m.categories or account_class not in m.accounts:
        return 0
    incoming = amount > 0
    if m.status == "failed":
        return 0 if status != "failed" or incoming else (1 if m.unit == "count" else -amount)
    if m.status == "reversed":
        return 1 if status in ("reversed", "returned") and incoming else 0
    if status in ("failed", "returned"):
        return 0
    if m.direction == "any":
        return 1 if status == "booked" else 0
    if status == "booked" and incoming != (m.direction == "in"):
        return 0
    if status == "reversed" and (m.unit == "count" or incoming == (m.direction == "in")):
        return 0
    if m.unit == "count":
        return 1
    return amount if m.direction == "in" else -amount


IN = {c for c, g in CATEGORY_GROUP.items() if g in ("income", "credit")}
OUT = {
    c
    for c, g in CATEGORY_GROUP.items()
    if g in ("debt", "bill", "essential", "discretionary", "gambling", "dear_debt", "charge") and c != "interest"
}


def against(category, amount):
    "Whether money flows back the way it came."
    return category in IN and amount < 0 or category in OUT and amount > 0


@lru_cache(None)
def effects(category, status, incoming, account_class):
    "The measures that such a transaction touches, and what one unit of its amount is worth to each."
    sign = 1 if incoming else -1
    return [
        (m.name, m.unit, worth(m, category, status, sign, account_class) * (1 if m.unit == "count" else sign))
        for m in MEASURES
        if worth(m, category, status, sign, account_class)
    ]


def weekend_to_friday(day):
    date = dt.date(1970, 1, 1) + dt.timedelta(days=day)
    return day - max(date.weekday() - 4, 0)


def day_of(date):
    return (date - dt.date(1970, 1, 1)).days


def following_payday(day, gap, date):
    if not date:
        return day + gap
    start = dt.date(1970, 1, 1) + dt.timedelta(days=day + 18)
    year, month = start.year, start.month
    while True:
        following = dt.date(year + month // 12, month % 12 + 1, 1)
        expected = day_of(dt.date(year, month, min(date, (following - dt.timedelta(days=1)).day)))
        if expected >= day + 18:
            return weekend_to_friday(expected)
        year, month = following.year, following.month


def rhythm(paydays):
    "Median gap of the last six paydays, and the day of the month when it is about a month."
    last = [p[0] for p in paydays[-6:]]
    if len(last) < 3:
        return 0, 0
    gap = median_high(b - a for a, b in zip(last, last[1:], strict=False))
    return gap, median_high((dt.date(1970, 1, 1) + dt.timedelta(days=d)).day for d in last) if 26 <= gap <= 35 else 0


class Story:
    "What the events so far amount to; built anew for every question."

    def __init__(self, life, as_of):
        self.a = as_of
        self.head, self.first_event, self.notes, self.moves = None, None, [], []
        self.limit, self.card_limit, self.opened, self.account, self.known = 0, 0, [], {}, set()
        self.series, self.paydays, self.payers, self.shops = [], [], [], set()
        self.dues, self.obligations, self.lost, self.last_payment, self.prints = {}, {}, 0, None, []
        self.recent, self.undone = [], []
        seen = set()
        for kind, e in merged(life, as_of * DAY):
            if kind == 0:
                self.opens(*e)
            elif kind == 1:
                self.announces(*e)
            elif kind == 2 and e[2] not in seen:
                seen.add(e[2])
                self.moves_money(*e)
            elif kind == 3:
                self.pays(*e)
        self.hits = {m.name: [] for m in MEASURES}
        for day, word, adds in self.notes:
            self.hits[word].append((day, adds))
        for day, amount, category, status, account_class in self.moves:
            if status in ("undone", "refunded"):
                continue
            for name, unit, factor in effects(category, status, amount > 0, account_class):
                self.hits[name].append((day, factor if unit == "count" else factor * amount))

    def note(self, day, word, adds=1):
        self.head = day if self.head is None else max(self.head, day)
        self.notes.append((day, word, adds))

    def stands(self, day, word):
        return day >= self.head - 254 and sum(n for on, w, n in self.notes if (on, w) == (day, word)) > 0

    def event_on(self, day):
        self.first_event = day if self.first_event is None else min(self.first_event, day)

    def stale(self, day):
        return self.head is not None and day <= self.head - 256

    def opens(self, at, _, account, kind, limit):
        self.opened.append(at // DAY)
        if account in self.known:
            return
        self.known.add(account)
        self.account.setdefault(account, {"class": CLASS[kind], "seq": -1, "balance": 0})
        if kind == "current":
            self.limit += limit
        elif CLASS[kind] == "card":
            self.card_limit += limit

    def money(self, of):
        return sum(s["balance"] for s in self.account.values() if s["class"] == of and s["seq"] >= 0)

    def moves_money(self, _, __, seq, booked, account, amount, category, status, name, balance):
        day = booked // DAY
        if self.stale(day):
            return
        self.event_on(day)
        self.head = day if self.head is None else max(self.head, day)
        slot = self.account.setdefault(account, {"class": "current", "seq": -1, "balance": 0})
        back = None
        if status == "reversed" or (status == "booked" and against(category, amount)):
            back = self.original(day, account, amount, category, name, status)
        if back is not None:
            self.undo(back)
            status = {"reversed": "returned", "booked": "refunded"}[status]
        move = [day, amount, category, status, slot["class"]]
        self.moves.append(move)
        if balance is not None and seq > slot["seq"]:
            slot["seq"], slot["balance"] = seq, balance
            self.series.append((self.head, slot["class"] == "current", self.money("current"), self.money("savings")))
        if status != "booked":
            return
        entry = {"move": move, "account": account, "name": name, "new": None, "pay": None, "payer": False}
        self.recent.append(entry)
        if category in VARIETY and amount <= 0 and name is not None and name not in self.shops:
            self.shops.add(name)
            self.note(day, "new_merchant")
            entry["new"] = self.notes[-1]
        if CATEGORY_GROUP[category] == "income" and amount > 0:
            entry["payer"] = True
            entry["pay"] = self.is_paid(day, amount, name)

    def original(self, day, account, amount, category, name, status):
        "The latest of the last 128 booked movements that this one takes back."
        for entry in self.recent[-128:][::-1]:
            on, money, what, how, _ = entry["move"]
            fits = (
                how == "booked"
                and amount != 0
                and money == -amount
                and entry["account"] == account
                and what == category
            )
            named = name is None or entry["name"] is None or entry["name"] == name
            if fits and named and on > self.head - 256 and (status == "reversed" or day - on <= 45):
                return entry
        return None

    def undo(self, entry):
        "As if it had never been made; days since go back no further than the totals of 254 days do."
        move, name = entry["move"], entry["name"]
        day, amount = move[:2]
        for measure, unit, factor in effects(move[2], "booked", amount > 0, move[4]):
            if unit == "count" or factor * amount > 0:
                self.undone.append((measure, day, self.head))
        move[3] = "undone"
        if entry["new"] is not None:
            self.notes.remove(entry["new"])
        if entry["pay"] is not None:
            self.is_unpaid()
        if entry["payer"] and name is not None:
            self.is_no_payer(name, amount)

    def is_unpaid(self):
        "The paydays anew, from all pay that was not taken back."
        self.paydays = []
        for entry in self.recent:
            if entry["payer"] and entry["move"][3] == "booked":
                entry["pay"] = self.is_payday(*entry["move"][:2])

    def is_no_payer(self, name, amount):
        left = [
            e["move"][0] for e in self.recent[-128:] if e["payer"] and e["name"] == name and e["move"][3] == "booked"
        ]
        for i, payer in enumerate(self.payers):
            if payer[0] == name:
                payer[2] -= amount
                payer[1] = max(left, default=payer[1])
                if payer[2] <= 0:
                    del self.payers[i]
                return

    def is_paid(self, day, amount, name):
        if name is not None:
            self.is_payer(day, amount, name)
        return self.is_payday(day, amount)

    def is_payday(self, day, amount):
        if self.paydays and day <= self.paydays[-1][0]:
            self.paydays[-1][1] += amount
            return self.paydays[-1][0]
        if self.paydays and day - self.paydays[-1][0] <= 45:
            recent = [p[1] for p in self.paydays[-3:]]
            if amount * 2 * len(recent) < sum(recent):
                return None
        gap, date = rhythm(self.paydays)
        self.paydays.append([day, amount, day - following_payday(self.paydays[-1][0], gap, date) if gap else None])
        return day

    def is_payer(self, day, amount, name):
        "Eight payers are remembered, in their places; the one silent longest makes room."
        for payer in self.payers:
            if payer[0] == name:
                payer[1:] = max(payer[1], day), payer[2] + amount
                return
        if len(self.payers) < 8:
            self.payers.append([name, day, amount])
        else:
            self.payers[min(range(8), key=lambda i: self.payers[i][1])] = [name, day, amount]

    def announces(self, at, _, obligation, instalment, kind, due, amount, autopay, enough, fact):
        known = self.dues.get((obligation, instalment))
        if fact == "unseen":
            return
        if known is not None and fact == "moved":
            known |= {"due": due // DAY, "amount": amount, "enough": enough, "auto": autopay, "ended": None}
            self.settles(known, at // DAY)
        elif known is not None and fact != "announced":
            known |= {"ended": fact, "ended_on": at // DAY}
        if known is not None or fact not in ("announced", "moved"):
            return
        self.event_on(at // DAY)
        last = self.obligations.get(obligation)
        if last is None:
            self.note(at // DAY, "contract_target" if kind in TARGET_KINDS else "contract_sign")
        elif instalment > last[0]:
            self.lost += last[1] - autopay
        if last is None or instalment > last[0]:
            self.obligations[obligation] = (instalment, autopay)
        self.dues[obligation, instalment] = {
            "obligation": obligation,
            "target": kind in TARGET_KINDS,
            "kind": kind,
            "due": due // DAY,
            "amount": amount,
            "enough": enough,
            "ended": None,
            "paid": 0,
            "announced": at // DAY,
            "settled": None,
            "auto": autopay,
        }

    @staticmethod
    def settles(due, day):
        full = due["paid"] >= due["enough"]
        if not full:
            due["settled"] = None
        elif due["settled"] is None:
            due["settled"] = day
        return full

    def pays(self, _, __, at, obligation, instalment, amount, payment):
        if (at, obligation, instalment, amount, payment) in self.prints[-32:]:
            return
        self.prints.append((at, obligation, instalment, amount, payment))
        day = at // DAY
        self.last_payment = day if self.last_payment is None else max(self.last_payment, day)
        due = self.dues.get((obligation, instalment))
        if due is None:
            return
        self.event_on(day)
        part = 0 < due["paid"] < due["enough"]
        due["paid"] += amount
        due["met"] = True
        full = self.settles(due, day)
        if self.stale(day):
            return
        if amount <= 0:
            if part and due["paid"] <= 0 and self.stands(day, "part_paid"):
                self.note(day, "part_paid", -1)
            return
        word = "target" if due["target"] else "sign"
        self.note(day, "paid_" + word)
        if day > due["due"]:
            self.note(day, "late_" + word)
        if not full:
            self.note(day, "part_paid")

    # -- windows -----------------------------------------------------------------------------------------------------------

    def total(self, m, days):
        "A measure over [as_of - days, as_of); 0 days is all of history."
        low = self.a - days if days else -(10**9)
        return sum(x for day, x in self.hits[m.name] if low <= day < self.a)

    def last(self, m):
        days = {day for day, x in self.hits[m.name] if x > 0}
        floor = None
        for name, day, head in self.undone:
            if name == m.name and not any(d >= day for d in days):
                floor = head - 255 if floor is None else max(floor, head - 255)
        return max((d for d in days if floor is None or d > floor), default=None)


BY = {m.name: m for m in MEASURES}


def over(a, b):
    return a / b if b > 0 else NAN


def flows(s, q):
    if s.first_event is not None:
        q["relationship_days"] = s.a - s.first_event
    if s.opened:
        q["account_age_days"] = s.a - min(s.opened)
    if s.card_limit > 0:
        q["card_limit"] = s.card_limit
    if not s.moves:
        return
    history = q["history_days"] = s.a - min(m[0] for m in s.moves)
    if history >= 14:
        outside = max(s.total(BY["own_money_in"], 90) - s.total(BY["drawn_from_savings"], 90), 0)
        months = min(history, 90) / 30
        q["outside_money"], q["monthly_inflow"] = outside / months, (s.total(BY["inflow"], 90) + outside) / months
        q["monthly_outgoings"], q["monthly_income"] = (
            s.total(BY["outgoings"], 90) / months,
            s.total(BY["income"], 90) / months,
        )
        q["daily_spending"] = max(s.total(BY["spending"], 60), 0) / min(history, 60)
    for name, days, measure, sign in (
        ("largest_debit_30d", 30, "spending", -1),
        ("largest_debit_180d", 180, "spending", -1),
        ("largest_credit_30d", 30, "inflow", 1),
    ):
        q[name] = max(
            (
                sign * x
                for d, x, c, st, k in s.moves
                if d >= s.a - days and st == "booked" and (x > 0) == (sign > 0) and c in BY[measure].categories
            ),
            default=0,
        )


def usual_lows(balances):
    "Quantiles of the balances, each balance spread evenly over the bucket that holds it."
    edges = [round(128 * 2 ** (k / 4)) for k in range(125)]
    spans = (
        [(-hi, -lo) for lo, hi in zip(edges[-2::-1], edges[:0:-1], strict=True)]
        + [(-128, 128)]
        + list(zip(edges, edges[1:], strict=False))
    )
    held = [
        sum(lo < b <= hi if hi < 0 else lo <= b < hi if lo > 0 else lo < b < hi for b in balances) for lo, hi in spans
    ]
    n, found = (
        len(balances),
        {
            "below_zero_ever": sum(b < 0 for b in balances),
            "below_zero_share_ever": sum(b < 0 for b in balances) / len(balances),
        },
    )
    values = [
        lo + (hi - lo) * (2 * r + 1) // (2 * c) for (lo, hi), c in zip(spans, held, strict=True) for r in range(c)
    ]
    for name, percent in (
        ("low_2pct_ever", 2),
        ("low_5pct_ever", 5),
        ("low_10pct_ever", 10),
        ("low_25pct_ever", 25),
        ("median_ever", 50),
    ):
        rank, part = divmod((n - 1) * percent, 100)
        found[name] = (values[rank] * (100 - part) + values[min(rank + 1, n - 1)] * part) // 100
    return found


def purse(s, q):
    if not any(current for _, current, _, _ in s.series):
        return
    first = next(d for d, current, _, _ in s.series if current)
    ends, lows, saved, at, now = {}, {}, {}, 0, 0
    low_ever, kept, began = None, 0, False
    for day in range(s.series[0][0], s.a):
        low = now
        while at < len(s.series) and s.series[at][0] == day:
            _, current, now, kept = s.series[at]
            if current:
                if not began:
                    low, began = now, True
                low, low_ever = min(low, now), now if low_ever is None else min(low_ever, now)
            at += 1
        ends[day], lows[day], saved[day] = now, low, kept
    money = s.money("current")
    assert ends[s.a - 1] == money
    days = [d for d in range(s.a - 1, first - 1, -1)]
    end, low = [ends[d] for d in days], [lows[d] for d in days]
    q |= {
        "balance": money,
        "savings": s.money("savings"),
        "visible_money": money + s.money("savings"),
        "low_ever": low_ever,
        "mean_ever": sum(end) / len(end),
        "card_debt": max(-s.money("card"), 0),
    }
    q |= usual_lows([now for _, current, now, _ in s.series if current])
    q |= {"limit": s.limit, "headroom": money + s.limit, "overdraft": max(-money, 0), "peak_30d": max(end[:30])}
    for n in (7, 30, 60, 90, 180):
        q |= {
            f"low_{n}d": min(low[:n]),
            f"mean_{n}d": sum(end[:n]) / len(end[:n]),
            f"overdrawn_{n}d": sum(x < 0 for x in low[:n]),
        }
    q["spread_90d"] = float(np.std(np.array(end[:90], float)))
    inflow = s.total(BY["inflow"], 90) + max(s.total(BY["own_money_in"], 90) - s.total(BY["drawn_from_savings"], 90), 0)
    q["thin_days_30d"] = sum(10 * x * min(q["history_days"], 90) < inflow * 30 for x in end[:30])
    q["usual_half"] = sum(x * len(end[:180]) < sum(end[:180]) for x in end[:30]) / len(end[:30])
    if len(end) > 30:
        q["savings_30d_ago"], q["trough_change"] = saved[s.a - 31], min(low[:30]) - min(low[30:90])
    if len(end) > 90:
        q["savings_90d_ago"] = saved[s.a - 91]


def paydays(s, q):
    "Fills the rhythm's slots; returns the next payday expected at or after `as_of`, its gap and day of the month."
    if s.payers:
        q["payers_90d"], q["main_payer_silent_days"] = (
            sum(last >= s.a - 90 for _, last, _ in s.payers),
            s.a - max(s.payers, key=lambda p: p[2])[1],
        )
    if not s.paydays:
        return None, 0, 0
    last, amounts = s.paydays[-1], [p[1] for p in s.paydays[-6:]]
    q["days_since_pay"], q["usual_pay"] = s.a - last[0], median_high(amounts)
    if len(amounts) >= 3:
        q["pay_step"] = amounts[-1] / median_high(amounts[:-1])
    gap, date = rhythm(s.paydays)
    if not gap:
        return None, 0, 0
    expected = following_payday(last[0], gap, date)
    q |= {"pay_rhythm_days": gap, "pay_late_days": max(s.a - expected, 0), "days_to_pay": max(expected - s.a, 0)}
    delays = [p[2] for p in s.paydays[-3:] if p[2] is not None]
    if delays:
        q["pay_delay_3"] = sum(delays) / len(delays)
    while expected < s.a:
        expected = following_payday(expected, gap, date)
    return expected, gap, date


def released(due):
    return due["settled"] is None and due["ended"] not in (None, "written_off")


def late(due, a):
    if due["settled"] is not None:
        return due["settled"] - due["due"]
    if released(due):
        return due["ended_on"] - due["due"] if due["ended_on"] > due["due"] else None
    return a - due["due"] if a - due["due"] > 2 else None


def ahead(s, q):
    if not s.dues:
        return [], None
    rest = [
        {**d, "rest": d["amount"] - d["paid"], "in": d["due"] - s.a}
        for d in s.dues.values()
        if d["paid"] < d["enough"] and d["ended"] is None and d["due"] >= s.a
    ]
    target = [d for d in rest if d["target"]]
    window = [d for d in target if 15 <= d["in"] <= 28]
    for n in (7, 14, 30):
        q[f"due_{n}d"] = sum(d["rest"] for d in target if d["in"] <= n)
    for n in (14, 30):
        q[f"any_due_{n}d"] = sum(d["rest"] for d in rest if d["in"] <= n)
    q |= {
        "due_15_28d": sum(d["rest"] for d in window),
        "due_count_15_28d": len(window),
        "due_count_14d": sum(d["in"] <= 14 for d in target),
    }
    q |= {"instalments_left": len(target), "owed_ahead": sum(d["rest"] for d in target)}
    for kind in TARGET_KINDS:
        q[f"due_{kind}_15_28d"] = sum(d["kind"] == kind for d in window)
    q |= {
        "manual_due_15_28d": sum(d["rest"] for d in window if not d["auto"]),
        "manual_count_15_28d": sum(not d["auto"] for d in window),
    }
    if q["any_due_30d"] > 0:
        q["autopay_share_30d"] = sum(d["rest"] for d in rest if d["in"] <= 30 and d["auto"]) / q["any_due_30d"]
    following = min(target, key=lambda d: d["due"], default=None)
    if following:
        q |= {
            "days_to_next_due": following["in"],
            "next_due": following["rest"],
            "next_due_lead_days": following["due"] - following["announced"],
            "next_due_autopay": int(following["auto"]),
        }
    return rest, following


def behind(s, q, window, following):
    if s.dues:
        q["autopay_lost"] = max(s.lost, 0)
    if s.last_payment is not None:
        q["days_since_payment"] = s.a - s.last_payment
    closed = [(d, late(d, s.a)) for d in s.dues.values() if late(d, s.a) is not None]
    target, bills = [c for c in closed if c[0]["target"]], [c for c in closed if not c[0]["target"]]
    if any(d.get("met") for d in s.dues.values() if not d["target"]):
        q["sign_overdue_count"] = sum(d["settled"] is None and not released(d) for d, _ in bills)
        recent = [n for d, n in bills if d["due"] >= s.a - 90]
        if recent:
            q["sign_days_late_90d"], q["sign_late_share_90d"] = (
                sum(recent) / len(recent),
                sum(n > 0 for n in recent) / len(recent),
            )
    if not any(d.get("met") for d in s.dues.values() if d["target"]):
        return
    unpaid = [d for d, _ in target if d["settled"] is None and not released(d)]
    q |= {
        "overdue": sum(d["amount"] - d["paid"] for d in unpaid),
        "overdue_count": len(unpaid),
        "overdue_days": max((s.a - d["due"] for d in unpaid), default=0),
        "dues_closed": len(target),
    }
    if following:
        ids = {d["obligation"] for d in window if d["target"] and 15 <= d["in"] <= 28}
        mine, its = (
            [n for d, n in target if d["obligation"] in ids],
            [n for d, n in target if d["obligation"] == following["obligation"]],
        )
        if mine:
            q["window_days_late"], q["window_late_share"] = sum(mine) / len(mine), sum(n > 0 for n in mine) / len(mine)
        if its:
            q["next_due_days_late"] = sum(its) / len(its)
    if not target:
        return
    days = [n for _, n in target]
    latest = [c for _, c in sorted(enumerate(target), key=lambda c: (c[1][0]["due"], c[0]))][::-1]
    q |= {
        "late_share": sum(n > 0 for n in days) / len(days),
        "late_5_share": sum(n > 5 for n in days) / len(days),
        "days_late_mean": sum(days) / len(days),
        "days_late_max": max(days),
    }
    q |= {
        "days_late_last": latest[0][1],
        "previous_due": latest[0][0]["amount"],
        "usual_due": sum(d["amount"] for d, _ in target) / len(days),
        "largest_due": max(d["amount"] for d, _ in target),
    }
    q["days_late_3"] = sum(n for _, n in latest[:3]) / len(latest[:3])
    q["days_late_drift"] = q["days_late_3"] - q["days_late_mean"]


def outlook(s, q, rest, following, pay, gap, date):
    if pay is not None:
        if s.dues:
            q["due_before_pay"] = sum(d["rest"] for d in rest if d["in"] < min(pay - s.a, 64))
        if following and following["in"] <= 366:
            last, step = s.paydays[-1][0], pay
            while step <= following["due"]:
                last, step = step, following_payday(step, gap, date)
            q["due_days_after_pay"] = following["due"] - last
        if 0 <= q.get("asked_lead_days", -1) <= 366:
            last, step = s.paydays[-1][0], pay
            while step <= s.a + q["asked_lead_days"]:
                last, step = step, following_payday(step, gap, date)
            q["asked_days_after_pay"] = s.a + q["asked_lead_days"] - last
    lead = q.get("asked_lead_days", -1)
    if lead >= 0:
        q["asked_others"] = sum(d["rest"] for d in rest if d["in"] <= min(lead, 63))
        if not q["asked_expected"] and lead < 64:
            q["asked_others"] -= q["asked_due"]
    if "balance" not in q or not s.dues or "monthly_inflow" not in q:
        return
    drain = q["daily_spending"] - (0 if pay is not None else q["monthly_inflow"] / 30)
    left, cash = [], q["balance"]
    for day in range(64):
        if pay is not None and pay == s.a + day:
            cash, pay = cash + q["usual_pay"], following_payday(pay, gap, date)
        cash -= sum(d["rest"] for d in rest if d["in"] == day)
        left.append(cash - drain * (day + 1))
    q |= {
        "projected_low_14d": min(left[:15]),
        "projected_low_15_28d": min(left[15:29]),
        "projected_low_28d": min(left[:29]),
    }
    if following and following["in"] < 64:
        q["projected_next_due"] = left[following["in"]]
    if 0 <= lead < 64:
        q["asked_projected"] = left[int(lead)] - q["asked_expected"] * q["asked_due"]


def asked(s, q, due, contract):
    "What is known of the due (obligation, instalment) that a question names."
    obligation, instalment = due
    if obligation < 0:
        return
    q |= dict(zip(("asked_principal", "asked_term", "asked_rate"), contract, strict=True))
    mine = [d | {"instalment": i} for (o, i), d in s.dues.items() if o == obligation]
    closed = [(d["due"], late(d, s.a)) for d in mine if late(d, s.a) is not None]
    if closed and any(d.get("met") for d in s.dues.values()):
        days = [n for _, n in closed]
        latest = max(reversed(closed), key=lambda c: c[0])[1]
        q |= {"asked_days_late": sum(days) / len(days), "asked_days_late_last": latest}
        q["asked_late_share"] = sum(n > 0 for n in days) / len(days)
    ahead = [d for d in mine if d["ended"] is None and d["paid"] < d["enough"] and d["due"] >= s.a]
    named = [d for d in mine if d["instalment"] == instalment] if instalment else ahead[::-1]
    one = min(named, key=lambda d: d["due"], default=None)
    if one is None:
        expected(s, q, mine, instalment, contract[1])
        return
    if one["ended"] is not None:
        return
    number, amount = one["instalment"], one["amount"]
    sort_of(one, q)
    last = max(d["instalment"] for d in mine) if contract[1] != contract[1] else contract[1]
    q |= {
        "asked_lead_days": one["due"] - s.a,
        "asked_due": amount - one["paid"],
        "asked_expected": 0,
        "asked_instalment": number,
        "asked_paid_share": one["paid"] / amount,
        "asked_left": last - number + 1,
    }
    before = [d for d in mine if d["instalment"] == number - 1]
    if before:
        q["asked_step"] = amount / before[0]["amount"]


def sort_of(d, q):
    q["asked_autopay"] = int(d["auto"])
    q |= {f"asked_{kind}": int(d["kind"] == kind) for kind in ("loan", "card", "mortgage", "rent")}


def month_later(a, b):
    "On the earlier of two days of the month, in the month after the later date."
    first, last = (dt.date(1970, 1, 1) + dt.timedelta(days=d) for d in (a, b))
    start = (last.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    length = ((start + dt.timedelta(days=32)).replace(day=1) - start).days
    return day_of(start.replace(day=min(first.day, last.day, length)))


def expected(s, q, mine, instalment, term):
    "The due after the latest one, where a contract announces one at a time."
    if not mine:
        return
    last = max(mine, key=lambda d: d["instalment"])
    earlier = [d for d in mine if d["instalment"] == last["instalment"] - 1]
    number = last["instalment"] + 1
    if last["ended"] is not None or not earlier or instalment not in (0, number) or number > term:
        return
    gap = last["due"] - earlier[0]["due"]
    if gap <= 0 or earlier[0]["announced"] == last["announced"]:
        return
    on = month_later(earlier[0]["due"], last["due"]) if 26 <= gap <= 35 else last["due"] + gap
    if on < s.a:
        return
    sort_of(last, q)
    q |= {"asked_lead_days": on - s.a, "asked_due": last["amount"], "asked_expected": 1, "asked_instalment": number}
    if term == term:
        q["asked_left"] = term - number + 1


def quantities(s, due=(-1, 0), contract=(NAN, NAN, NAN)):
    q = {}
    flows(s, q)
    asked(s, q, due, contract)
    purse(s, q)
    rest, following = ahead(s, q)
    behind(s, q, rest, following)
    outlook(s, q, rest, following, *paydays(s, q))
    return q


def blocks(s, op, m, n):
    x = [s.total(m, 30 * (i + 1)) - (s.total(m, 30 * i) if i else 0) for i in range(n)]
    if op == Op.surprise:
        mean, spread = np.mean(x[1:]), np.std(x[1:])
        return (x[0] - mean) / max(spread, mean / 20) if mean > 0 else NAN
    if not np.mean(x) > 0:
        return NAN
    if op == Op.variation:
        return float(np.std(x) / np.mean(x))
    return float(np.polyfit(np.arange(n), np.array(x[::-1], float), 1)[0] / np.mean(x))


def entropy(s, days):
    n = [s.total(BY[f"{c}_count"], days) for c in VARIETY]
    whole = sum(c for c in n if c > 0)
    return -sum(c / whole * math.log(c / whole) for c in n if c > 0)


def value(s, q, row):
    "One feature, from its row of numbers."
    op, x, y, days, longer, source, history = row
    if op == Op.tracked:
        return q.get(Q(x).name, NAN)
    if op == Op.over:
        return over(q.get(Q(x).name, NAN), q.get(Q(y).name, NAN))
    known = {
        "transactions": q.get("history_days", -1) >= history,
        "obligations": bool(s.dues),
        "payments": any(d.get("met") for d in s.dues.values()),
    }
    if not known[SOURCES[source]]:
        return NAN
    m, other, age = MEASURES[x], MEASURES[min(y, len(MEASURES) - 1)], q.get("history_days", 0)
    if op == Op.total:
        return s.total(m, days)
    if op == Op.ratio:
        return over(s.total(m, days), s.total(other, days))
    if op == Op.pace:
        return over(s.total(m, days) / min(days, age), s.total(m, longer) / min(longer, age))
    if op == Op.per:
        return over(s.total(m, days) / days * 30, q.get(Q(y).name, NAN))
    if op == Op.since:
        return min(s.a - last, NEVER_DAYS) if (last := s.last(m)) is not None else NEVER_DAYS
    if op == Op.entropy:
        return entropy(s, days)
    if op == Op.entropy_shift:
        return entropy(s, days) - entropy(s, longer)
    if op == Op.share_shift:
        return over(s.total(m, days), s.total(other, days)) - over(s.total(m, longer), s.total(other, longer))
    return blocks(s, op, m, min(age, days) // 30)


def rescan(life, as_of, catalogue=CATALOGUE, due=(-1, 0), contract=(NAN, NAN, NAN)):
    "The row of features of one customer at the midnight of day number `as_of`, and of a due where one is named."
    story = Story(life, as_of)
    q = quantities(story, due, contract)
    return np.array([value(story, q, f.calculation.row) for f in catalogue], float)
