"""What a statement (camt.053) says of a movement is read as it is meant, in every version, or refused with its file."""

from pathlib import Path

import pytest

from predelinquency.ground.core import SchemaError
from predelinquency.sources.mapping import File
from predelinquency.sources.statements import COLUMNS, load_statements

HEAD = "<Id>S1</Id><Acct><Id><IBAN>AT48</IBAN></Id><Ccy>EUR</Ccy></Acct>"
SPACE = 'xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"'


def read(folder: Path, entries: str, space: str = SPACE, head: str = HEAD, before: str = "") -> list[dict[str, str]]:
    "The rows of a message with one statement."
    text = f"{before}<Document {space}><BkToCstmrStmt><Stmt>{head}{entries}</Stmt></BkToCstmrStmt></Document>"
    (folder / "may.xml").write_text(text)
    return [row for _, row in load_statements(folder / "may.xml", File("may"))]


def entry(amount: str, side: str, more: str = "") -> str:
    return f'<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd><Sts>BOOK</Sts>{more}</Ntry>'


def details(*parts: str) -> str:
    return f"<NtryDtls>{''.join(f'<TxDtls>{p}</TxDtls>' for p in parts)}</NtryDtls>"


@pytest.mark.parametrize("version", range(2, 14))
def test_all_versions_are_read_alike(tmp_path: Path, version: int):
    space = f'xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version:02d}"'
    assert read(tmp_path, entry("12.50", "DBIT"), space) == read(tmp_path, entry("12.50", "DBIT"), "")


def test_the_side_is_the_sign_and_a_reversal_does_not_turn_it(tmp_path: Path):
    back = "<RvslInd>true</RvslInd>"
    rows = read(tmp_path, entry("10", "DBIT") + entry("10", "CRDT", back) + entry("1800.00", "CRDT"))
    assert [(r["amount"], r["reversal"], r["status"]) for r in rows] == [
        ("-10", "false", "BOOK"),
        ("10", "true", "BOOK"),
        ("1800.00", "false", "BOOK"),
    ]


PART = '<Amt Ccy="EUR">{}</Amt>'
BATCHES = {
    "parts that add up": (details(PART.format("4"), PART.format("6")), ["-4", "-6"]),
    "parts of the older kind": (
        details(*(f"<AmtDtls><TxAmt>{PART.format(n)}</TxAmt></AmtDtls>" for n in (4, 6))),
        ["-4", "-6"],
    ),
    "one the other way": (details(PART.format("12"), PART.format("2") + "<CdtDbtInd>CRDT</CdtDbtInd>"), ["-12", "2"]),
    "parts that do not add up": (details(PART.format("4"), PART.format("5")), ["-10"]),
    "parts without amounts": (details("<Refs/>", "<Refs/>"), ["-10"]),
    "parts of another currency": (details(*['<Amt Ccy="USD">5</Amt>'] * 2), ["-10"]),
    "one part": (details(PART.format("11")), ["-10"]),
}


@pytest.mark.parametrize("kind", BATCHES)
def test_a_batch_is_taken_apart_only_where_its_parts_are_the_whole(tmp_path: Path, kind: str):
    more, amounts = BATCHES[kind]
    assert [r["amount"] for r in read(tmp_path, entry("10", "DBIT", more))] == amounts


def test_everything_a_movement_says_has_its_column(tmp_path: Path):
    said = details(
        "<Refs><AcctSvcrRef>own</AcctSvcrRef><EndToEndId>E1</EndToEndId></Refs><RltdPties><Dbtr><Nm>Acme</Nm></Dbtr><DbtrAcct><Id><IBAN>DE1</IBAN>"
        "</Id></DbtrAcct></RltdPties><Purp><Cd>SALA</Cd></Purp><RmtInf><Ustrd>May</Ustrd><Ustrd>2024</Ustrd></RmtInf>"
    )
    code = "<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>SALA</SubFmlyCd></Fmly></Domn></BkTxCd>"
    dates = "<NtryRef>N1</NtryRef><BookgDt><Dt>2024-05-02</Dt></BookgDt><ValDt><DtTm>2024-05-01T10:00:00+02:00</DtTm></ValDt>"
    balances = "".join(
        f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>{PART.format(n)}<CdtDbtInd>{side}</CdtDbtInd><Dt><Dt>2024-05-0{n}</Dt></Dt></Bal>"
        for kind, n, side in (("PRCD", 1, "DBIT"), ("CLAV", 3, "CRDT"), ("CLBD", 2, "CRDT"))
    )
    head = HEAD.replace("</Acct>", "<Ownr><Nm>Ann</Nm></Ownr></Acct>") + balances
    (row,) = read(tmp_path, entry("10", "CRDT", dates + code + said), head=head)
    assert row == dict(
        statement="S1", account="AT48", account_currency="EUR", owner="Ann", opening_balance="-1", opening_on="2024-05-01", closing_balance="2",
        closing_on="2024-05-02", entry="1", detail="", amount="10", currency="EUR", status="BOOK", reversal="false", booked="2024-05-02",
        valued="2024-05-01T10:00:00+02:00", code="PMNT.RCDT.SALA", reference="N1", servicer_reference="own", end_to_end="E1", counterparty="Acme",
        counterparty_account="DE1", purpose="SALA", text="May 2024",
    )  # fmt: skip
    assert row.keys() == COLUMNS.keys()


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
SLIPS = {
    "an entity": (dict(entries=entry("1", "CRDT"), before=BOMB), "definitions of its own"),
    "a file outside": (dict(entries=entry("&a;", "CRDT"), before=OUTSIDE), "definitions of its own"),
    "a side that is none": (dict(entries=entry("1", "CRDT") + entry("1", "D")), "after row 1: CdtDbtInd is 'D'"),
    "an amount in words": (dict(entries=entry("ten", "DBIT")), "Amt is 'ten', which is no amount"),
    "a sign of its own": (dict(entries=entry("-1", "DBIT")), "an amount has no sign of its own"),
    "no amount": (dict(entries="<Ntry><CdtDbtInd>DBIT</CdtDbtInd></Ntry>"), "Amt is missing"),
    "cut short": (dict(entries=entry("1", "CRDT") + "<Ntry>"), "line 1: is not XML: mismatched tag"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_message_that_cannot_be_meant_is_refused_with_its_file(tmp_path: Path, slip: str):
    keys, words = SLIPS[slip]
    with pytest.raises(SchemaError) as refusal:
        read(tmp_path, **keys)
    assert refusal.value.where == "may.xml" and words in refusal.value.problem and refusal.value.remedy


def test_another_message_is_named(tmp_path: Path):
    for text, words in (("<Document><BkToCstmrDbtCdtNtfctn/></Document>", "BkToCstmrDbtCdtNtfctn"), ("", "is not XML")):
        (tmp_path / "may.xml").write_text(text)
        with pytest.raises(SchemaError, match=words):
            [*load_statements(tmp_path / "may.xml", File("may"))]
