"""What the benchmarks share: they say what they are doing, and end in one table."""

import argparse
import json
import operator
import sys
import time
from typing import NamedTuple

STARTED, SIGNS = time.perf_counter(), {"<=": operator.le, ">=": operator.ge}


class Row(NamedTuple):
    what: str
    unit: str
    ours: float
    peer: float | None = None  # in the same unit
    name: str = ""  # who the peer is
    ratio: float | None = None  # ours / peer when less is better, otherwise peer / ours, or as the bar is meant
    bar: str = ""  # "<= 2": of the ratio where there is one, else of ours

    @property
    def held(self) -> bool | None:
        if not self.bar:
            return None
        sign, limit = self.bar.split()
        return bool(SIGNS[sign](self.ours if self.ratio is None else self.ratio, float(limit)))


def less(what: str, unit: str, ours: float, peer: float, name: str, bar: str = "") -> Row:
    "How many times the peer's cost ours is."
    return Row(what, unit, ours, peer, name, ours / peer, bar)


def faster(what: str, unit: str, ours: float, peer: float, name: str, bar: str = "") -> Row:
    "How many times our cost the peer's is."
    return Row(what, unit, ours, peer, name, peer / ours, bar)


def more(what: str, unit: str, ours: float, peer: float, name: str, bar: str = "") -> Row:
    "How many times the peer's yield ours is."
    return Row(what, unit, ours, peer, name, ours / peer, bar)


def say(text: str) -> None:
    "Progress, on stderr, so that `--json` leaves nothing else on stdout."
    print(f"[{time.perf_counter() - STARTED:6.1f} s] {text}", file=sys.stderr, flush=True)


def arguments(doc: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="the table as JSON")
    return parser


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def table(title: str, rows: list[Row]) -> str:
    cells = [("what", "unit", "ours", "peer", "", "ratio", "bar", "")]
    for r in rows:
        held = "" if r.held is None else "held" if r.held else "MISSED"
        cells.append((r.what, r.unit, number(r.ours), number(r.peer), r.name, number(r.ratio), r.bar, held))
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]

    def line(cell: tuple[str, ...]) -> str:
        return "  ".join(
            f"{c:>{w}}" if i in (2, 3, 5) else f"{c:{w}}" for i, (c, w) in enumerate(zip(cell, widths))
        ).rstrip()

    return "\n".join([title, *map(line, cells)])


def show(title: str, rows: list[Row], as_json: bool) -> None:
    "The end of a benchmark."
    if as_json:
        print(
            json.dumps(
                dict(title=title, rows=[r._asdict() | dict(ours=float(r.ours), held=r.held) for r in rows]), indent=1
            )
        )
    else:
        print(table(title, rows))
