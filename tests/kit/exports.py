"A small world as other systems would export it, one writer a format: written by hand, so that no reader is tested with its own library."

import gzip
import io
import json
import zipfile
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import as_files
import pandas as pd

from predelinquency.ground import disk

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
        words = {c: str for c in table if isinstance(table[c].dtype, pd.CategoricalDtype)}
        kept = [c for c in table if c not in (left or {}).get(name, ())]
        by = ["customer_id", "obligation_id", "instalment", "paid_at", "amount_minor"] if name == "payments" else None
        pair = [t[kept].astype({k: v for k, v in words.items() if k in kept}) for t in (disk.read(raw, name), table)]
        pd.testing.assert_frame_equal(*(t.sort_values(by, ignore_index=True) if by else t for t in pair), obj=name)
