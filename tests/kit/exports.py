"A small world as other systems would export it, one writer a format: written by hand, so that no reader is tested with its own library."

import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import as_files
import pandas as pd

from predelinquency.ground import disk
from predelinquency.ground.schema import ACCOUNT_KINDS

FOLDER = "http://schemas.openxmlformats.org"
PARTS = {
    "[Content_Types].xml": f"""<Types xmlns="{FOLDER}/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
</Types>""",
    "_rels/.rels": f"""<Relationships xmlns="{FOLDER}/package/2006/relationships">
<Relationship Id="r1" Type="{FOLDER}/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>
</Relationships>""",
    "xl/styles.xml": f"""<styleSheet xmlns="{FOLDER}/spreadsheetml/2006/main"><fonts count="1"><font/></fonts><fills count="1"><fill/></fills>
<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>
<cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/><xf numFmtId="22" applyNumberFormat="1"/></cellXfs></styleSheet>""",
}


def _cell(value: Any, place: str) -> str:
    "One cell of a sheet: days are numbers with a style, as a spreadsheet keeps them."
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, datetime):
        days = (value - datetime(1899, 12, 30)).total_seconds() / 86_400
        return f'<c r="{place}" s="2"><v>{days!r}</v></c>'
    if isinstance(value, date):
        return f'<c r="{place}" s="1"><v>{(value - date(1899, 12, 30)).days}</v></c>'
    if isinstance(value, (int, float)):
        return f'<c r="{place}"><v>{value!r}</v></c>'
    if value.startswith("#"):
        return f'<c r="{place}" t="e"><v>{value}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'


def _letters(column: int) -> str:
    return (_letters(column // 26 - 1) if column >= 26 else "") + chr(65 + column % 26)


def workbook(path: Path, sheets: dict[str, list[list[Any]]], merged: Iterable[str] = ()) -> None:
    "A workbook with these sheets; `merged` names ranges of the first, as A2:A3."
    parts, relations, names = dict(PARTS), "", ""
    for n, (name, rows) in enumerate(sheets.items(), 1):
        cells = "".join(
            f'<row r="{r}">{"".join(_cell(v, f"{_letters(c)}{r}") for c, v in enumerate(row))}</row>'
            for r, row in enumerate(rows, 1)
        )
        joined = "".join(f'<mergeCell ref="{m}"/>' for m in merged) if n == 1 else ""
        joined = f"<mergeCells>{joined}</mergeCells>" if joined else ""
        parts[f"xl/worksheets/sheet{n}.xml"] = (
            f'<worksheet xmlns="{FOLDER}/spreadsheetml/2006/main"><sheetData>{cells}</sheetData>{joined}</worksheet>'
        )
        relations += f'<Relationship Id="r{n}" Type="{FOLDER}/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet{n}.xml"/>'
        names += f'<sheet name="{escape(name)}" sheetId="{n}" r:id="r{n}"/>'
    relations += f'<Relationship Id="s" Type="{FOLDER}/officeDocument/2006/relationships/styles" Target="styles.xml"/>'
    parts["xl/_rels/workbook.xml.rels"] = (
        f'<Relationships xmlns="{FOLDER}/package/2006/relationships">{relations}</Relationships>'
    )
    parts["xl/workbook.xml"] = (
        f'<workbook xmlns="{FOLDER}/spreadsheetml/2006/main" xmlns:r="{FOLDER}/officeDocument/2006/relationships">'
        f"<sheets>{names}</sheets></workbook>"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + text)


def told(frame: pd.DataFrame) -> list[dict[str, Any]]:
    "The rows of a table, each without what is empty: days as days, times as texts to the millisecond."
    days = {c: frame[c].dt.date for c in frame if c.endswith("_on")}
    times = {c: frame[c].dt.strftime("%Y-%m-%d %H:%M:%S.%f").str[:-3] for c in frame if c.endswith("_at")}
    plain = frame.assign(**days, **times).astype(object)
    return [{k: v for k, v in row.items() if not pd.isna(v)} for row in plain.to_dict("records")]


def _packed(path: Path, text: bytes) -> None:
    "Bytes in a file whose ending says how they are packed."
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(path.stem, text)
    else:
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def write(folder: Path, tables: dict[str, pd.DataFrame], ending: str) -> str:
    "The tables as `as_files` has them, in files of this ending, such as .jsonl.gz; returns the mapping that reads them."
    kind = next(k for k in ("jsonl", "json", "csv", "parquet", "xlsx") if k in ending)
    for name, frame in as_files.frames(tables).items():
        path, rows = folder / f"{name}{ending}", told(frame)
        if kind == "xlsx":
            times = {c: frame[c].dt.to_pydatetime() for c in frame if c.endswith("_at")}
            sheet = [[row.get(c) if c not in times else times[c][i] for c in frame] for i, row in enumerate(rows)]
            workbook(path, {"read me": [["nothing here"]], name: [[], [*frame], *sheet]})
        elif kind == "csv":
            _packed(path, pd.DataFrame(rows, columns=[*frame]).to_csv(index=False).encode())
        elif kind == "parquet":
            held = io.BytesIO()
            frame.to_parquet(held)
            _packed(path, held.getvalue())
        else:
            lines = [json.dumps(row, default=str) for row in rows]
            _packed(path, ("\n".join(lines) if kind == "jsonl" else f'{{"page": [{",".join(lines)}]}}').encode())
    mapping = as_files.MAPPING.replace("autopay = 'True'", "lower(autopay) = 'true'")
    for name in tables:
        extra = {"json": ", records: page", "xlsx": f", sheet: {name}"}.get(kind, "")
        said = f"{name}{ending}, format: {kind}{extra}"
        mapping = mapping.replace(f"path: {name}.csv\n", f"path: {said}\n".replace(", ", "\n    "))
        mapping = mapping.replace(f"path: {name}.csv,", f"path: {said},")
    return mapping


def assert_same(raw: Path, tables: dict[str, pd.DataFrame], left: dict[str, set[str]] | None = None) -> None:
    "What was ingested is what was exported, but for the columns that the export does not carry."
    for name, table in tables.items():
        there = disk.read(raw, name)
        kept = [c for c in there if c not in (left or {}).get(name, ())]
        words = {c: str for c in kept if isinstance(there[c].dtype, pd.CategoricalDtype)}
        by = ["customer_id", "obligation_id", "instalment", "paid_at", "amount_minor"] if name == "payments" else None
        pair = [t[kept].astype(words).reset_index(drop=True) for t in (there, table)]
        if name == "transactions":  # of two accounts within one instant, no format without `seq` says which came first
            by = ["customer_id", "booked_at", "account_id"]
        pair = [t.sort_values(by, ignore_index=True, kind="stable") for t in pair] if by else pair
        if name == "transactions":
            assert all((t.groupby("customer_id").seq.diff().dropna() != 0).all() for t in pair)
            pair = [t.assign(seq=t.groupby("customer_id").cumcount()) for t in pair]
        pd.testing.assert_frame_equal(*pair, obj=name)


def moved(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    "The movements with what an interface calls them: the owner's id, text ids that sort as ours, amounts in major units; without hours that the clock skips."
    moves = tables["transactions"].merge(tables["customers"][["customer_id", "source_id"]])
    local = moves.booked_at.dt.tz_localize("Europe/London", ambiguous=True, nonexistent="NaT")
    return moves.assign(
        local=local,
        account="GB" + moves.account_id.map("{:08d}".format),
        transaction=moves.transaction_id.map("T{:09d}".format),
        amount=moves.amount_minor.map(lambda minor: Decimal(int(minor)) / 100),
        balance=moves.balance_after_minor.map(lambda minor: Decimal(int(minor)) / 100),
    )[local.notna()]


def only_spoken(tables: dict[str, pd.DataFrame], moves: pd.DataFrame, *key: str) -> dict[str, pd.DataFrame]:
    "The canonical tables that such an export can be told apart by: accounts that moved, movements that were booked, ids in their order."
    order = {name: index for index, name in enumerate(sorted(moves.account_id.unique()))}
    accounts = tables["accounts"][tables["accounts"].account_id.isin(order)]
    accounts = accounts.assign(account_id=accounts.account_id.map(order))
    booked = moves.assign(
        account_id=moves.account_id.map(order),
        seq=moves.groupby("customer_id").cumcount().astype("int32"),
        transaction_id=moves[[*key, "transaction"]].agg("/".join, axis=1).rank().astype(int) - 1,
    )
    return {"customers": tables["customers"], "accounts": accounts, "transactions": booked}


PLAID = {  # our category → Plaid's, the second level where a first alone would say less
    "salary": "INCOME_WAGES", "gig_income": "INCOME_GIG_ECONOMY", "pension": "INCOME_RETIREMENT_PENSION",
    "benefit": "INCOME_GOVERNMENT_BENEFITS", "interest": "INCOME_INTEREST_EARNED", "own_transfer": "TRANSFER_OUT_ACCOUNT_TRANSFER",
    "atm": "TRANSFER_OUT_WITHDRAWAL", "card_payment": "LOAN_PAYMENTS_CREDIT_CARD_PAYMENT", "mortgage": "LOAN_PAYMENTS_MORTGAGE_PAYMENT",
    "loan_payment": "LOAN_PAYMENTS_PERSONAL_LOAN_PAYMENT", "gambling": "ENTERTAINMENT_CASINOS_AND_GAMBLING",
    "subscription": "ENTERTAINMENT_TV_AND_MOVIES", "groceries": "FOOD_AND_DRINK_GROCERIES", "restaurant": "FOOD_AND_DRINK_RESTAURANT",
    "electronics": "GENERAL_MERCHANDISE_ELECTRONICS", "retail": "GENERAL_MERCHANDISE_OTHER", "childcare": "GENERAL_SERVICES_CHILDCARE",
    "education": "GENERAL_SERVICES_EDUCATION", "insurance": "GENERAL_SERVICES_INSURANCE", "repair": "GENERAL_SERVICES_AUTOMOTIVE",
    "charity": "GOVERNMENT_AND_NON_PROFIT_DONATIONS", "tax": "GOVERNMENT_AND_NON_PROFIT_TAX_PAYMENT", "fuel": "TRANSPORTATION_GAS",
    "transport": "TRANSPORTATION_PUBLIC_TRANSIT", "rent": "RENT_AND_UTILITIES_RENT", "telecom": "RENT_AND_UTILITIES_TELEPHONE",
    "utility": "RENT_AND_UTILITIES_GAS_AND_ELECTRICITY", "medical": "MEDICAL_PHARMACIES", "travel": "TRAVEL_FLIGHTS",
    "leisure": "ENTERTAINMENT_SPORTING_EVENTS", "fee": "BANK_FEES_OTHER", "loan_disbursement": "LOAN_DISBURSEMENTS_PERSONAL",
    "cash_advance": "BANK_FEES_CASH_ADVANCE",
}  # fmt: skip
LEVELS = (
    "INCOME", "TRANSFER_IN", "TRANSFER_OUT", "LOAN_PAYMENTS", "LOAN_DISBURSEMENTS", "BANK_FEES", "ENTERTAINMENT", "FOOD_AND_DRINK",
    "GENERAL_MERCHANDISE", "GENERAL_SERVICES", "GOVERNMENT_AND_NON_PROFIT", "TRANSPORTATION", "TRAVEL", "RENT_AND_UTILITIES", "MEDICAL",
)  # fmt: skip
PLAID_KINDS = {
    "current": ("depository", "checking"), "savings": ("depository", "savings"), "card": ("credit", "credit card"),
    "loan": ("loan", "consumer"), "term_deposit": ("depository", "cd"),
}  # fmt: skip


def exact(value: Any) -> str:
    "JSON with decimals as numbers of their own digits."
    return re.sub(r'"Decimal:([^"]*)"', r"\1", json.dumps(value, default=lambda d: f"Decimal:{d}"))


def plaid(folder: Path, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    "A saved answer of /transactions/get for every customer; returns the tables it stands for."
    moves = moved(tables).query("status != 'failed'")
    for who, mine in moves.groupby("source_id"):
        rows = []
        for move in mine.itertuples():
            detailed = PLAID.get(move.category)
            first = next((f for f in LEVELS if detailed and detailed.startswith(f + "_")), "OTHER")
            rows.append(
                {
                    "transaction_id": move.transaction, "account_id": move.account, "amount": -move.amount, "iso_currency_code": move.currency,
                    "date": f"{move.booked_at:%Y-%m-%d}", "datetime": move.local.tz_convert("UTC").isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                    "name": move.counterparty.upper(), "merchant_name": move.counterparty, "pending": False, "category": None, "counterparties": [],
                    "personal_finance_category": {"primary": first, "detailed": detailed or "OTHER_OTHER", "confidence_level": "HIGH"},
                }
            )  # fmt: skip
        rows.append(rows[-1] | {"transaction_id": f"P{who}", "pending": True})
        accounts = [
            {
                "account_id": f"GB{a.account_id:08d}", "type": PLAID_KINDS[a.kind][0], "subtype": PLAID_KINDS[a.kind][1], "name": "Plaid Account",
                "balances": {"available": None, "current": 1, "iso_currency_code": a.currency, "limit": Decimal(int(a.limit_minor)) / 100 if pd.notna(a.limit_minor) else None},
            }
            for a in tables["accounts"].itertuples() if a.account_id in set(mine.account_id)
        ]  # fmt: skip
        page = {
            "accounts": accounts,
            "item": {"item_id": who},
            "request_id": "r",
            "total_transactions": len(rows),
            "transactions": rows,
        }
        (folder / f"transactions-{who}.json").write_text(exact(page))
    spoken = only_spoken(tables, moves)
    known = spoken["transactions"].category.where(spoken["transactions"].category.isin([*PLAID]), "other")
    spoken["transactions"] = spoken["transactions"].assign(category=known)
    return spoken


TRADES = {
    "groceries": "5411", "fuel": "5541", "transport": "4111", "telecom": "4814", "subscription": "4899", "utility": "4900", "retail": "5651",
    "electronics": "5732", "restaurant": "5812", "medical": "5912", "atm": "6011", "insurance": "6300", "repair": "7538", "leisure": "7941",
    "gambling": "7995", "education": "8220", "childcare": "8351", "charity": "8398", "tax": "9311", "travel": "4511",
}  # fmt: skip
PURPOSES = {
    "salary": "SALA", "pension": "PENS", "benefit": "BENE", "rent": "RENT", "mortgage": "HLRP", "loan_payment": "LOAR", "loan_disbursement": "LOAN",
    "card_payment": "CCRD", "utility": "ELEC", "telecom": "PHON", "insurance": "INSU", "subscription": "SUBS", "tax": "TAXS", "transport": "RLWY",
    "medical": "MDCS", "education": "EDUC", "charity": "CHAR", "retail": "GDDS", "interest": "INTE", "fee": "FEES", "own_transfer": "SAVG", "atm": "CDCB",
}  # fmt: skip


def _known(spoken: dict[str, pd.DataFrame], words: dict[str, str], *order: str) -> dict[str, pd.DataFrame]:
    "The tables with categories as far as these words carry them, and movements in the order that the export keeps."
    moves = spoken["transactions"]
    side = moves.amount_minor.gt(0).map({True: "transfer_in", False: "transfer_out"})
    moves = moves.assign(category=moves.category.where(moves.category.isin([*words]), side))
    if order:
        moves = moves.sort_values(["customer_id", *order], kind="stable")
        moves = moves.assign(seq=moves.groupby("customer_id").cumcount().astype("int32"))
    return spoken | {"transactions": moves}


def as_savings(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    "The tables of an interface that has no word for a term deposit: it says savings."
    a = tables["accounts"]
    kind = a.kind.astype(str).replace("term_deposit", "savings")
    return tables | {"accounts": a.assign(kind=pd.Categorical(kind, categories=list(ACCOUNT_KINDS)))}


def open_banking_uk(folder: Path, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    "Two pages of transactions for every customer, as the UK's interface answers; returns the tables they stand for."
    tables = as_savings(tables)
    kinds = {"current": "CurrentAccount", "savings": "Savings", "card": "CreditCard", "loan": "Loan"}
    moves = moved(tables).query("status != 'failed'")

    def side(value: Decimal) -> dict[str, Any]:
        return {"CreditDebitIndicator": "Credit" if value >= 0 else "Debit"}

    def page(rows: list[dict[str, Any]], name: str, part: str) -> None:
        held = {"Data": {name: rows}, "Links": {"Self": f"https://bank.example/{part}"}, "Meta": {"TotalPages": 1}}
        (folder / f"{part}.json").write_text(json.dumps(held))

    for who, mine in moves.groupby("source_id"):
        rows = []
        for move in mine.itertuples():
            card = (
                {"MerchantDetails": {"MerchantName": move.counterparty, "MerchantCategoryCode": TRADES[move.category]}}
                if move.category in TRADES
                else {}
            )
            rows.append(
                {
                    "AccountId": move.account, "TransactionId": move.transaction, "Status": "Booked", **side(move.amount),
                    "BookingDateTime": move.local.isoformat(timespec="milliseconds"), "TransactionInformation": move.counterparty,
                    "Amount": {"Amount": f"{abs(move.amount):.2f}", "Currency": move.currency}, **card,
                    "Balance": {"Amount": {"Amount": f"{abs(move.balance):.2f}", "Currency": move.currency}, **side(move.balance), "Type": "InterimBooked"},
                }
            )  # fmt: skip
        accounts = [
            {"AccountId": f"GB{a.account_id:08d}", "Currency": a.currency, "AccountType": "Personal", "AccountSubType": kinds[a.kind], "OpeningDate": f"{a.opened_on:%Y-%m-%d}T00:00:00"}
            for a in tables["accounts"].itertuples() if a.account_id in set(mine.account_id)
        ]  # fmt: skip
        page(accounts, "Account", f"accounts-{who}")
        page(rows[:100], "Transaction", f"transactions-{who}-1")
        page(
            [*rows[100:], rows[0] | {"TransactionId": "P", "Status": "Pending"}], "Transaction", f"transactions-{who}-2"
        )
    return _known(only_spoken(tables, moves, "account"), TRADES)


def berlin_group(folder: Path, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    "One answer for every account, as the Berlin Group's interface gives it; returns the tables they stand for."
    tables = as_savings(tables)
    kinds = {"current": "CACC", "savings": "SVGS", "card": "CARD", "loan": "LOAN"}
    moves = moved(tables).query("status != 'failed'").assign(currency="EUR")
    spoken = only_spoken(tables, moves, "account")
    for (who, account), mine in moves.groupby(["source_id", "account"]):
        rows = []
        for move in mine.itertuples():
            purpose = {"purposeCode": PURPOSES[move.category]} if move.category in PURPOSES else {}
            rows.append(
                {
                    "transactionId": move.transaction, "bookingDate": f"{move.booked_at:%Y-%m-%d}", "valueDate": f"{move.booked_at:%Y-%m-%d}",
                    "transactionAmount": {"currency": "EUR", "amount": f"{move.amount:.2f}"}, **purpose,
                    "debtorName" if move.amount > 0 else "creditorName": move.counterparty,
                    "balanceAfterTransaction": {"balanceAmount": {"currency": "EUR", "amount": f"{move.balance:.2f}"}},
                }
            )  # fmt: skip
        page = {
            "account": {"iban": account},
            "transactions": {"booked": rows, "pending": rows[:1], "_links": {"account": {"href": "/"}}},
        }
        (folder / f"transactions-{who}-{account}.json").write_text(json.dumps(page))
    owners = moves.groupby("source_id").account.agg(lambda ids: sorted(set(ids)))
    kind = tables["accounts"].set_index("account_id").kind
    for who, ids in owners.items():
        held = [
            {
                "resourceId": i,
                "iban": i,
                "currency": "EUR",
                "cashAccountType": kinds[kind[int(i[2:])]],
                "ownerName": "N",
            }
            for i in ids
        ]
        (folder / f"accounts-{who}.json").write_text(json.dumps({"accounts": held}))
    spoken["accounts"] = spoken["accounts"].assign(currency="EUR")
    days = spoken["transactions"].booked_at.dt.normalize()
    spoken["transactions"] = spoken["transactions"].assign(booked_at=days)
    return _known(spoken, PURPOSES, "booked_at", "account")


def camt053(folder: Path, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    "One file a month with a statement for every account that moved, and the list of owners; returns the tables they stand for."
    moves = moved(tables).query("status != 'failed'").assign(currency="EUR")
    by = {name: index for index, name in enumerate(sorted(moves.account_id.unique()))}
    owners = tables["accounts"][tables["accounts"].account_id.isin(by)].merge(
        tables["customers"][["customer_id", "source_id"]]
    )
    listed = owners.assign(account="GB" + owners.account_id.map("{:08d}".format), customer=owners.source_id)
    listed[["account", "customer", "kind", "opened_on"]].to_csv(folder / "accounts.csv", index=False)

    def money(value: Decimal) -> str:
        return f'<Amt Ccy="EUR">{abs(value):.2f}</Amt><CdtDbtInd>{"CRDT" if value >= 0 else "DBIT"}</CdtDbtInd>'

    def entry(move: Any) -> str:
        far = "Dbtr" if move.amount > 0 else "Cdtr"
        purpose = f"<Purp><Cd>{PURPOSES[move.category]}</Cd></Purp>" if move.category in PURPOSES else ""
        back = "<RvslInd>true</RvslInd>" if move.status == "reversed" else ""
        return (
            f"<Ntry><NtryRef>{move.transaction}</NtryRef>{money(move.amount)}{back}<Sts><Cd>BOOK</Cd></Sts><BookgDt><DtTm>{move.booked_at.isoformat(timespec='milliseconds')}</DtTm></BookgDt>"
            f"<BkTxCd><Domn><Cd>PMNT</Cd></Domn></BkTxCd><NtryDtls><TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs><RltdPties><{far}><Pty><Nm>{escape(move.counterparty)}</Nm></Pty></{far}>"
            f"</RltdPties>{purpose}</TxDtls></NtryDtls></Ntry>"
        )

    for month, monthly in moves.groupby(moves.booked_at.dt.strftime("%Y-%m")):
        statements = ""
        for account, mine in monthly.groupby("account"):
            opening, closing = mine.balance.iloc[0] - mine.amount.iloc[0], mine.balance.iloc[-1]
            bounds = "".join(
                f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>{money(value)}<Dt><Dt>{month}-01</Dt></Dt></Bal>"
                for kind, value in (("OPBD", opening), ("CLBD", closing))
            )
            entries = "".join(map(entry, mine.itertuples()))
            statements += f"<Stmt><Id>{month}-{account}</Id><Acct><Id><Othr><Id>{account}</Id></Othr></Id><Ccy>EUR</Ccy></Acct>{bounds}{entries}</Stmt>"
        space = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
        (folder / f"{month}.xml").write_text(
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{space}"><BkToCstmrStmt><GrpHdr><MsgId>m</MsgId></GrpHdr>{statements}</BkToCstmrStmt></Document>',
            encoding="utf-8",
        )
    spoken = only_spoken(tables, moves, "account")
    spoken["accounts"] = spoken["accounts"].assign(currency="EUR")
    return _known(spoken, PURPOSES, "booked_at", "account")


def loan_book(folder: Path, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    "Customers, dues and payments as three sheets of loans.xlsx; returns the tables they stand for."
    who = tables["customers"].set_index("customer_id").source_id

    def sheet(frame: pd.DataFrame, columns: dict[str, str]) -> list[list[Any]]:
        frame = frame.assign(source_id=frame.customer_id.map(who))
        rows = told(frame)
        for column in (c for c in frame if c.endswith("_at")):
            for row, at in zip(rows, frame[column].dt.to_pydatetime(), strict=True):
                row[column] = at
        for row in rows:
            row["amount"] = row.get("amount_minor", 0) / 100
        return [["A title"], [*columns.values()], *([row.get(c) for c in columns] for row in rows)]

    due = tables["obligations"].query("fact == 'announced'")
    paid = tables["payments"]
    same = dict(source_id="Customer", obligation_id="Contract", instalment="No")
    sheets = {
        "Customers": sheet(tables["customers"], dict(source_id="Customer", joined_on="Since", segment="Segment")),
        "Instalments": sheet(
            due,
            same | dict(kind="Kind", announced_at="Announced", due_on="Due", amount="Amount", autopay="Direct debit"),
        ),
        "Payments": sheet(paid, same | dict(paid_at="Paid", amount="Amount")),
    }
    workbook(folder / "loans.xlsx", sheets)
    ids = {o: n for n, o in enumerate(sorted(due.obligation_id.unique(), key=str))}
    renamed = {
        name: t.assign(obligation_id=t.obligation_id.map(ids)) for name, t in (("obligations", due), ("payments", paid))
    }
    by = {
        "obligations": ["customer_id", "obligation_id", "instalment"],
        "payments": ["customer_id", "obligation_id", "instalment", "paid_at", "amount_minor"],
    }
    return {"customers": tables["customers"]} | {n: t.sort_values(by[n], ignore_index=True) for n, t in renamed.items()}


def card_panel(folder: Path, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    "One row a card, with a bill, a payment and a status for each of six months, as cards.csv; returns dues and payments by month."
    months = pd.period_range("2005-04", "2005-09", freq="M")
    cards = tables["obligations"].query("kind == 'card' and fact == 'announced'")
    first = cards.due_on.min().to_period("M").ordinal + 3  # a quarter after the world begins
    dues = cards.assign(n=cards.due_on.dt.to_period("M").map(lambda m: m.ordinal - first)).query("1 <= n <= 5")
    dues = dues.groupby(["customer_id", "n"]).amount_minor.sum() // 100
    paid = tables["payments"].merge(cards[["obligation_id", "instalment", "customer_id"]])
    paid = paid.assign(n=paid.paid_at.dt.to_period("M").map(lambda m: m.ordinal - first)).query("1 <= n <= 5")
    paid = paid.groupby(["customer_id", "n"]).amount_minor.sum() // 100
    rows = []
    for who in sorted(cards.customer_id.unique()):
        row: dict[str, Any] = {"ID": f"{who:05d}", "LIMIT_BAL": 20_000, "SEX": 2}
        for n in range(6):
            k = 6 - n  # the columns run from the newest month to the oldest
            due, money = dues.get((who, n), 0), paid.get((who, n), 0)
            row[f"PAY_{k if k > 1 else 0}"] = 1 if due > money else -1
            row[f"BILL_AMT{k}"], row[f"PAY_AMT{k}"] = 20 * dues.get((who, n + 1), 0), money
        rows.append(row)
    pd.DataFrame(rows).to_csv(folder / "cards.csv", index=False)
    return {
        name: pd.DataFrame(
            [(f"{who:05d}", str(months[n]), int(v) * 100) for (who, n), v in found.items() if v], columns=["who", "month", "minor"]
        )
        for name, found in (("dues", dues), ("paid", paid))
    }  # fmt: skip
