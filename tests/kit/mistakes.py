"Mistakes at random: what a person, a program or bad luck makes of a mapping, a file or a request."

import copy
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, given, settings

from predelinquency.ground import disk, schema
from predelinquency.ground.core import PredelinquencyError

Tree = Any  # dictionaries, lists and scalars, as YAML and JSON have them


def sweep(examples: int, drawn: st.SearchStrategy[Any], holds: Callable[[Any], None]) -> None:
    "Ask `holds` about so many examples, always the same ones."
    asked = settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[*HealthCheck],
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )(given(drawn)(holds))
    asked()


# --- odd values

TEXTS = (
    "", " ", "\t", "~", "null", "none", "nan", "NaN", "inf", "-Infinity", "true", "yes", "-0", "-0.0", "0", "1", "-1", "007", "1e5", "1E400",
    "1e-400",
    "9223372036854775808", "-9223372036854775809", "9" * 45, "9" * 400, "0." + "1" * 50, "1.234,56", "1,234.56", "1.2.3", "1,2,3", "--5", "5-", "(5)",
    "£5",
    "0x1F", "1_000", "٣", "½", "∞", "x", "é", "Ω≈ç√", "🦊", "👩‍👩‍👧", "مرحبا", "\u202eabc", "a\u0301", "\ufeff", "\u200b", "\x00", "a\x00b", "\x1b[31m",
    "\x7f", "\x85",
    "\u2028", "a\nb", "a\r\nb", '"', "'", '""', '"a', "a\"b", "a;b", "a,b", "a|b", "`", "\\", "\\n", "[/red]", "[bold]", "[", "]", "{", "}", "{}",
    "{0}", "%s", "%", "%Q", "%%",
    "$HOME", "${NOPE}", "$currency", "*", "?", "#", "&", "!", "@", "<", ">", "-", "--", "/*", ";", ":", "|", "=", "+", ".", "..", "...", "/", "~root",
    "DECIDE",
    "0000-00-00", "0000-01-01", "0001-01-01", "1899-12-31", "1969-12-31", "2024-02-31", "2023-02-29", "2024-13-01", "9999-12-31", "10000-01-01",
    "292278-01-01",
    "-2024-01-01", "2024-1-1", "01/02/2024", "2024-03-31 02:30:00", "2024-10-27 02:30:00", "2024-01-01T00:00:00Z", "2024-01-01T25:00:00",
    "2024-01-01 23:59:60",
    "2024-01-01T00:00:00+99:00", "2024-01-01T00:00:00.123456789", "infinity", "epoch", "today", "20240101", "x" * 300, "ab " * 3000, "é" * 150, "GBP",
    "EUR", "XXX", "JPY", "CON",
)  # fmt: skip
NUMBERS = (
    0,
    -1,
    1,
    2,
    10**6,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**30,
    10**400,
    0.1,
    -0.0,
    1.5,
    1e300,
    1e-320,
    True,
    False,
)
odd_texts = st.sampled_from(TEXTS) | st.text(max_size=8)
odd_values = st.one_of(
    odd_texts,
    st.sampled_from([None, *NUMBERS]),
    st.recursive(
        odd_texts | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_texts, inner, max_size=3),
        max_leaves=4,
    ),
)


# --- a tree with mistakes


def places(tree: Tree, way: tuple[Any, ...] = ()) -> Iterable[tuple[Any, ...]]:
    "The way to every node of a tree but its root."
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield (*way, key)
        yield from places(value, (*way, key))


def at(tree: Tree, way: Iterable[Any]) -> Tree:
    for key in way:
        tree = tree[key]
    return tree


def renamed(held: dict[Any, Any], old: Any, new: Any) -> None:
    "One key of a dictionary in its place under another name."
    items = [(new if k == old else k, v) for k, v in held.items()]
    held.clear()
    held.update(items)


@st.composite
def with_mistakes(
    draw: st.DrawFn, tree: Tree, likely: Callable[[tuple[Any, ...]], Iterable[Any]] = lambda way: (), most: int = 3
) -> Tree:
    "The tree with one to `most` nodes dropped, renamed, doubled, moved or replaced; `likely` values fit a node's place."
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, most))):
        ways = list(places(tree))
        if not ways:
            break
        way = draw(st.sampled_from(ways))
        held, key = at(tree, way[:-1]), way[-1]
        fitting = list(likely(way))
        kind = draw(
            st.sampled_from(
                ["fit"] * 4 * bool(fitting) + ["drop", "odd", "odd", "name", "add", "move", "wrap", "scalar"]
            )
        )
        if kind == "fit":
            held[key] = copy.deepcopy(draw(st.sampled_from(fitting)))
        elif kind == "drop":
            del held[key]
        elif kind == "odd":
            held[key] = draw(odd_values)
        elif kind == "name" and isinstance(held, dict):
            renamed(held, key, draw(odd_texts | st.sampled_from([str(w[-1]) for w in ways])))
        elif kind == "add" and isinstance(held, dict):
            held[draw(odd_texts | st.sampled_from([str(w[-1]) for w in ways]))] = draw(odd_values)
        elif kind == "add":
            held.insert(key, draw(odd_values) if draw(st.booleans()) else copy.deepcopy(held[key]))
        elif kind == "move":
            held[key] = copy.deepcopy(at(tree, draw(st.sampled_from(ways))))
        elif kind == "wrap":
            held[key] = draw(st.sampled_from([[held[key]], {"x": held[key]}, [[held[key]]], [held[key]] * 2]))
        else:
            held[key] = draw(st.sampled_from([*NUMBERS, "", None, [], {}]))
    return tree


# --- bytes with mistakes

PIECES = (
    b"\x00", b"\xff", b"\xfe\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\xed\xa0\x80", b"\x80", b"\x1b", b"\r", b"\n", b"\r\n", b"\n\n\n", b"\t",
    b" ", b'"', b'""', b"'",
    b",", b";", b"|", b"[", b"]", b"{", b"}", b":", b": ", b"- ", b"#", b"&a ", b"*a", b"<<: *a\n", b"!!int ", b"!!null ", b"!!float ", b"!!binary ",
    b"!!timestamp ", b"!!set ",
    b"!!omap ", b"!!bool ", b"!!python/object/apply:os.getcwd []", b"!x ", b"%YAML 9.9\n", b"%TAG ! x\n", b"---\n", b"...\n", b"? ", b"? [a, b]\n",
    b"> ", b"| ", b"\\", b"\\ud800", b"\\u0000",
    b"NaN", b"-Infinity", b"1e999", b"9" * 50, b"null", b"true", b"[" * 40, b"[" * 3000, b'{"a":' * 40, b'{"a":' * 3000, "é🦊\u202e".encode(), "ÃÂ".encode(),
    "é".encode("latin-1"), b"=1+1", b"&a [*a]", b"x" * 2000,
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, content: bytes, most: int = 3) -> bytes:
    "Bytes with one to `most` places changed: pieces put in, lines lost, doubled, cut or exchanged."
    for _ in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from(["in", "in", "over", "lose", "twice", "cut", "swap", "head", "nothing", "code"]))
        spot = draw(st.integers(0, len(content)))
        piece = draw(st.sampled_from(PIECES) | st.binary(max_size=4))
        lines = content.splitlines(keepends=True) or [b""]
        n, m = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
        if kind == "in":
            content = content[:spot] + piece + content[spot:]
        elif kind == "over":
            content = content[:spot] + piece + content[spot + len(piece) :]
        elif kind == "lose":
            content = b"".join(lines[:n] + lines[n + 1 :])
        elif kind == "twice":
            content = b"".join(lines[: n + 1] + lines[n:])
        elif kind == "cut":
            content = content[:spot]
        elif kind == "swap":
            lines[n], lines[m] = lines[m], lines[n]
            content = b"".join(lines)
        elif kind == "head":
            content = lines[0] if draw(st.booleans()) else b"".join(lines[1:])
        elif kind == "nothing":
            content = piece
        else:
            text = content.decode("utf-8", "replace")
            content = text.encode(
                draw(st.sampled_from(["utf-16", "utf-32", "cp1252", "utf-7", "utf-8-sig"])), "replace"
            )
    return content


# --- what must hold afterwards


def refusal(call: Callable[[], object]) -> PredelinquencyError | None:
    "The refusal of a call, which says where and what to do; None where it succeeds. Anything else breaks the test."
    try:
        call()
    except PredelinquencyError as e:
        assert e.problem.strip() and e.where.strip() and e.remedy.strip(), f"no place or no remedy: {e!r}"
        return e
    return None


def held(folder: Path) -> dict[str, bytes]:
    "Every file below a folder, by its path in it."
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def whole(folder: Path) -> None:
    "A folder holds canonical tables, each in parts that keep its contract, and nothing besides."
    tables = {**schema.TABLES, **schema.EXTRA}
    assert {p.name for p in folder.iterdir()} - set(schema.EXTRA) == set(schema.TABLES)
    for name in (p.name for p in folder.iterdir()):
        assert {p.name for p in (folder / name).iterdir()} == {part.file for part in disk.parts(folder, name)}
        frame = disk.read(folder, name)
        words = {c.name: "category" for c in tables[name].columns if c.kind == "word"}
        schema.validate(tables[name], frame.astype(words), str(folder))


def nothing_left() -> None:
    "No scratch file or folder lies where temporary files go."
    assert not [*Path(tempfile.gettempdir()).iterdir()]
