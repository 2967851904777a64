"""A room adds nothing to what another room has made: lessons that run in one process would add it twice."""

import ast
from pathlib import Path

import predelinquency

PACKAGE = Path(predelinquency.__file__).parent


def strangers(source: str) -> list[str]:
    "The descriptions into which a room puts tables although they are another room's."
    tree = ast.parse(source)
    own = {t.id for node in tree.body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)}
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "sa.Table"]
    return sorted({ast.unparse(call.args[1]) for call in calls} - own)


def test_tables_stand_in_a_description_of_their_own_room() -> None:
    rooms = {p: p.read_text() for p in PACKAGE.glob("*/*.py")}
    assert {p.name: found for p, text in rooms.items() if (found := strangers(text))} == {}
    assert sum("sa.Table(" in text for text in rooms.values()) >= 3


def test_a_table_in_another_rooms_description_is_noticed() -> None:
    said = "from predelinquency.ground.entries import METADATA\nOWN = sa.MetaData()\n"
    assert strangers(said + 'sa.Table("a", OWN)') == [] and strangers(said + 'sa.Table("a", METADATA)') == ["METADATA"]
