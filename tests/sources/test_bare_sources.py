"""A source that lacks something is told so when it is checked."""

import pytest
from bare_bank import bank

from predelinquency.sources import ingest

ACCOUNTS, DUES, OUTCOME = (
    "the source has none; map accounts",
    "without due dates nobody can miss one",
    "a model learns from both outcomes",
)


@pytest.mark.parametrize(
    "has, said",
    [
        (dict(), [ACCOUNTS]),
        (dict(money=True), []),
        (dict(money=True, dues=False), [DUES]),
        (dict(dues=False), [ACCOUNTS, DUES]),
        (dict(moments=True), []),
        (dict(moments=True, dues=False), []),
        (dict(moments=True, missed=lambda who, due: False), [f"went well, and {OUTCOME}"]),
        (dict(moments=True, missed=lambda who, due: True), [f"went badly, and {OUTCOME}"]),
    ],
    ids=[
        "bare",
        "with money",
        "without dues",
        "customers alone",
        "moments",
        "moments alone",
        "nobody missed",
        "everybody missed",
    ],
)
def test_checking_a_source_tells_what_no_later_stage_can_ask_of_it(tmp_path, has, said):
    page = ingest.check_source(bank(tmp_path, customers=16, **has), tmp_path)._repr_markdown_()
    assert all(words in page for words in said)
    assert sum(words in page for words in (ACCOUNTS, DUES, OUTCOME)) == len(said)
    assert ("What cannot be asked of this source" in page) is bool(said)
