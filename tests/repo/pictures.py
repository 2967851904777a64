"""The pictures of the page that README and tour show, taken from a folder of results: `python tests/repo/pictures.py [data]`, part of `make readme`."""

import io
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent.parent
IMAGES = PROJECT / "nbs/images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT, SHOWN = 1280, 1150, 960  # of the window, and of the picture: pixels


@contextmanager
def page(root: Path) -> Iterator[str]:
    "The address of a page on a folder of results, for as long as it is needed."
    from predelinquency.app import server as app_server

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = app_server.page_command(root, port=port, notebook=PROJECT / "nbs/dashboards/risk.ipynb", warm=False)
    running = subprocess.Popen(
        server.argv, env=dict(server.env), cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            if running.poll() is not None:
                raise SystemExit("the page could not be served: `predelinquency dashboard` says why")
            try:
                urllib.request.urlopen(server.url.split("?")[0] + "voila/static/voila.js", timeout=5)
                break
            except OSError:
                time.sleep(0.1)
        yield server.url
    finally:
        running.terminate()
        running.wait(20)


def chosen(root: Path) -> str:
    "The number of the customer with the highest chance of those who are offered something."
    from predelinquency.app import customer, state

    over = state.load_book(root)
    offered = over.scored[over.scored.channel.fillna("") != ""]
    best = (offered if len(offered) else over.scored).sort_values("probability", ascending=False).customer_id.iloc[0]
    return str(customer.load_customer(over, int(best)).row["source_id"])


def small(picture: bytes) -> bytes:
    "Fewer pixels and colours: a picture for a page of text."
    from PIL import Image

    full = Image.open(io.BytesIO(picture)).convert("RGB")
    less = full.resize((SHOWN, round(full.height * SHOWN / full.width)), Image.Resampling.LANCZOS).quantize(
        256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    kept = io.BytesIO()
    less.save(kept, "PNG", optimize=True)
    return kept.getvalue()


def taken(address: str, number: str, browser: str) -> dict[str, bytes]:
    "The book and one customer, as a visitor sees them first."
    from playwright.sync_api import sync_playwright

    quiet = "document.body.dataset.pdView && !document.body.classList.contains('pd-busy')"
    with sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=browser, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        seen: Any = opened.new_page(viewport=dict(width=WIDTH, height=HEIGHT))
        seen.goto(address, timeout=300_000)
        seen.wait_for_selector("#pd-loading", state="detached", timeout=300_000)
        seen.wait_for_function(quiet, timeout=120_000)
        book = seen.screenshot(animations="disabled")
        seen.keyboard.press("/")
        seen.keyboard.type(number)
        seen.keyboard.press("Enter")
        seen.wait_for_function(f"{quiet} && document.body.dataset.pdView === 'customer'", timeout=120_000)
        for chart in seen.query_selector_all(".pd-view-customer .pd-chart"):
            chart.wait_for_selector(".main-svg", timeout=120_000)
        customer = seen.screenshot(animations="disabled")
        opened.close()
    return dict(book=book, customer=customer)


def lived_twice(reports: Path) -> bytes:
    "The year that `make twice` lived last, two times."
    import pandas as pd

    from predelinquency.truth import twice

    figures = json.loads((reports / "twice.json").read_text())
    asked, alone, helped = (figures[k] for k in ("asked", "alone", "helped"))
    shock = f", {asked['shock']:,} of whom lose their work on the first day" if asked["shock"] else ""
    title = (
        f"{asked['customers']:,} customers{shock}: {alone['misses']:,} payments missed when nobody is helped, "
        f"{helped['misses']:,} by the rule “{asked['rule']}”, with {helped['contacts']:,} contacts"
    )
    return twice.picture_of(pd.read_parquet(reports / "twice.parquet"), title)


def main(root: Path) -> None:
    "Take them, or say why the old ones stay."
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if not (root / "reports/scores.parquet").exists():
        return print(f"pictures stay as they are: there are no results in {root}; `make run` makes them")
    if browser is None:
        return print("pictures stay as they are: there is no chromium here; `make browser` installs it")
    number = chosen(root)
    with page(root) as address:
        pictures = taken(address, number, browser)
    if (root / "reports/twice.parquet").exists():
        pictures["twice"] = lived_twice(root / "reports")
    IMAGES.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        (IMAGES / f"{name}.png").write_bytes(small(picture))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data").resolve())
