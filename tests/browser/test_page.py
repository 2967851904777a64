"""The page as a visitor sees it: Debian's chromium on a server of its own."""

import html
import os
import re
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from predelinquency.app import customer, customer_page, state
from predelinquency.ground import words

pytestmark = pytest.mark.slow
# Voila 0.5 brings JupyterLab 4.2's parts, the widgets of the environment were built for later ones: it says so, and they work
KNOWN = re.compile(r"Unsatisfied version|No satisfying version|Starting WebSocket")
QUIET = "!document.body.classList.contains('pd-busy')"


@pytest.fixture(scope="module")
def over(trained: Path) -> state.Overview:
    return state.load_book(trained)


@pytest.fixture(scope="module")
def address(serving: Callable[..., str], trained: Path) -> str:
    return serving(trained)


class Visit:
    "One visitor, and everything the browser said and asked for."

    def __init__(self, browser: Any, address: str, width: int = 1280, height: int = 900, path: str = ""):
        self.page, self.address = browser.new_page(viewport=dict(width=width, height=height)), address
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: self.said.append(f"{m.type}: {m.text}"))
        self.page.on("pageerror", lambda e: self.said.append(f"error: {e}"))
        self.page.on("request", lambda r: self.asked.append(r.url))
        self.page.on("response", lambda r: self.said.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
        self.page.goto(address + path, timeout=90_000)
        self.page.wait_for_selector("#pd-loading", state="detached", timeout=90_000)
        self.page.wait_for_function(f"document.body.dataset.pdView && {QUIET}", timeout=60_000)

    def home(self) -> "Visit":
        "Back to the book, with an empty search box."
        self.page.evaluate(
            "location.hash = ''; document.querySelector('#pd-query').value = ''; document.querySelector('.pd-said').textContent = ''; document.activeElement.blur()"
        )
        self.page.wait_for_function(f"document.body.dataset.pdView === 'book' && {QUIET}")
        return self

    def quiet(self) -> None:
        self.page.wait_for_function(QUIET)

    def find(self, number: str) -> None:
        "Type a number and press Enter, with the keyboard alone."
        self.page.keyboard.press("/")
        self.page.keyboard.type(number)
        self.page.keyboard.press("Enter")
        self.page.wait_for_function(
            f"{QUIET} && (document.body.dataset.pdView === 'customer' || document.querySelector('.pd-said').textContent)"
        )

    def shown(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def drawn(self, number: str) -> None:
        for what in ("Balance, dues, paydays, money in and out", "Chance, week by week"):
            self.page.wait_for_selector(f'.pd-chart[data-drawn="{what}: customer {number}"] .main-svg', timeout=60_000)

    @property
    def outside(self) -> list[str]:
        return [url for url in self.asked if not url.startswith((self.address.split("?")[0], "data:", "blob:"))]

    @property
    def complaints(self) -> list[str]:
        return [s for s in self.said if not KNOWN.search(s)]


@pytest.fixture(scope="module")
def reader(browser: Any, address: str) -> Iterator[Visit]:
    "A visitor who stays: for what needs no fresh page."
    seen = Visit(browser, address)
    yield seen
    seen.page.close()


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Visit]]:
    made: list[Visit] = []

    def opened(**options: Any) -> Visit:
        made.append(Visit(browser, address, **options))
        return made[-1]

    yield opened
    for v in made:
        v.page.close()


def test_a_visitor_sees_the_book_finds_a_customer_and_reads_reasons_and_action(
    visit: Callable[..., Visit], over: state.Overview, pictures: Path
) -> None:
    seen = visit()
    assert "As of 1 July 2025" in seen.shown(".pd-brand") and "Nobody on this page exists" in seen.shown(".pd-remarks")
    for title in ("Risk bands", "The plan of the day", "Week by week", "Who moved", "Customers"):
        assert seen.page.get_by_role("heading", name=title, exact=True).count() == 1
    assert f"{len(over.scored):,}" in seen.shown(".pd-kpi >> nth=0")
    seen.page.screenshot(path=pictures / "book.png", full_page=True)
    contacted = over.scored[over.scored.channel.fillna("") != ""]
    one = customer.load_customer(over, int((contacted if len(contacted) else over.scored).customer_id.iloc[0]))
    number = str(one.row["source_id"])
    seen.find(number)
    seen.drawn(number)
    text = seen.shown(".pd-view-customer")
    assert f"Customer {number}" in text and words.chance(one.row["probability"]) in text
    for reason in one.reasons.analyst:
        assert words.sentence(reason) in text
    assert one.decision is not None and over.rules.policy.actions[one.decision["action"]].label in text
    for line in one.decision["message"].split("\n"):
        assert line.strip() in text
    told = re.findall(r'class="(?:what|pd-empty)">([^<]+)', customer_page.changed_html(over, one))
    assert told and "What changed" in text and all(html.unescape(sentence) in text for sentence in told)
    assert "What is due next" in text and not seen.page.is_visible(".pd-view-book")
    seen.page.screenshot(path=pictures / "customer.png", full_page=True)
    assert seen.complaints == [] and seen.outside == []


def test_the_browsers_back_button_and_a_bookmark_lead_to_the_same_customer(
    visit: Callable[..., Visit], over: state.Overview
) -> None:
    number = str(over.scored.source_id.iloc[3])
    seen = visit(path=f"#{number}")
    assert f"Customer {number}" in seen.shown(".pd-view-customer")
    seen.page.click(".pd-crumb a")
    seen.page.wait_for_function("document.body.dataset.pdView === 'book'")
    seen.page.click(".pd-list tbody a >> nth=0")
    seen.page.wait_for_function("document.body.dataset.pdView === 'customer'")
    assert f"Customer {over.scored.source_id.iloc[0]}" in seen.shown(".pd-view-customer h1")
    seen.page.go_back()
    seen.page.wait_for_function("document.body.dataset.pdView === 'book'")
    seen.page.go_back()
    seen.page.wait_for_function(f"document.querySelector('.pd-view-customer h1').textContent.includes('{number}')")
    assert seen.complaints == []


def test_an_unknown_number_is_told_where_the_reader_is(reader: Visit, pictures: Path) -> None:
    seen = reader.home()
    seen.find("999999")
    assert "There is no customer “999999” in this book" in seen.shown(".pd-said")
    assert seen.page.is_visible(".pd-view-book") and not seen.page.is_visible(".pd-view-customer")
    seen.page.screenshot(path=pictures / "unknown.png")
    assert seen.complaints == [] and seen.outside == []


@pytest.mark.parametrize("typed", ["<b>x</b>; drop", "999999", "%", "  "])
def test_an_odd_search_beside_an_open_customer_leaves_both_as_they_are(
    reader: Visit, over: state.Overview, typed: str
) -> None:
    seen, number = reader.home(), str(over.scored.source_id.iloc[0])
    seen.find(number)
    assert seen.page.input_value("#pd-query") == number
    seen.page.fill("#pd-query", typed)
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_function(f"{QUIET} && document.querySelector('.pd-said').textContent")
    assert seen.page.input_value("#pd-query") == typed and seen.page.title().startswith(f"Customer {number}")
    assert f"Customer {number}" in seen.shown(".pd-view-customer h1") and seen.page.query_selector(".pd-said b") is None
    assert seen.complaints == []


def test_the_list_is_sorted_filtered_and_keeps_the_focus(reader: Visit, over: state.Overview) -> None:
    seen = reader.home()
    first = lambda: seen.shown(".pd-list tbody tr >> nth=0")
    seen.page.get_by_role("button", name="Sort by customer").press("Enter")
    seen.page.wait_for_function(
        f"{QUIET} && document.querySelector('.pd-list tbody a').textContent === '{min(over.scored.source_id)}'"
    )
    assert seen.page.evaluate("document.activeElement.dataset.value") == "source_id"
    seen.page.select_option("select[data-act=band]", "watch")
    seen.quiet()
    seen.page.wait_for_function(
        "[...document.querySelectorAll('.pd-list tbody .pd-chip')].every(c => c.textContent === 'Watch')"
    )
    assert f"{(over.scored.band == 'watch').sum()} customers" in seen.shown(".pd-pager") or not first()


OVERLAP = """() => {
  const cards = [...document.querySelectorAll('.pd-card, .pd-plot')].filter(n => n.offsetParent !== null && !n.parentElement.closest('.pd-card, .pd-plot')).map(n => [n.innerText.slice(0, 30), n.getBoundingClientRect()]);
  const cut = ([, a], [, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  return cards.flatMap((a, i) => [...cards.slice(i + 1).filter(b => cut(a, b)).map(b => `${a[0]} lies on ${b[0]}`), ...(a[1].width < 150 ? [`${a[0]} is ${a[1].width} wide`] : [])]);
}"""


@pytest.mark.parametrize("width", [400, 1280, 1600])
def test_nothing_runs_out_of_the_page(reader: Visit, over: state.Overview, pictures: Path, width: int) -> None:
    seen = reader.home()
    seen.page.set_viewport_size(dict(width=width, height=900))
    wide = "Math.max(document.documentElement.scrollWidth, document.querySelector('.pd-page').scrollWidth)"
    assert seen.page.evaluate(wide) <= width and seen.page.evaluate(OVERLAP) == []
    number = str(over.scored.source_id.iloc[0])
    seen.find(number)
    seen.drawn(number)
    assert seen.page.evaluate(wide) <= width and seen.page.evaluate(OVERLAP) == []
    seen.page.screenshot(path=pictures / f"customer-{width}.png", full_page=True)
    seen.page.set_viewport_size(dict(width=1280, height=900))


CONTRAST = """() => {
  const parts = c => { const m = c.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
  const ground = n => { for (; n; n = n.parentElement) { const c = parts(getComputedStyle(n).backgroundColor); if (c[3] > .99) return c; } return [255, 255, 255, 1]; };
  const seen = n => n.offsetParent !== null && !n.closest('svg, :disabled, .pd-hidden-label, [aria-hidden=true]') && [...n.childNodes].some(c => c.nodeType === 3 && c.textContent.trim());
  return [...document.querySelectorAll('.pd-page *')].filter(seen).map(n => {
    const a = light(parts(getComputedStyle(n).color)), b = light(ground(n));
    return [n.textContent.trim().slice(0, 40), (Math.max(a, b) + .05) / (Math.min(a, b) + .05)];
  }).filter(([, c]) => c < 4.5);
}"""


def test_every_text_stands_out_from_its_ground(reader: Visit, over: state.Overview) -> None:
    seen = reader.home()
    assert seen.page.evaluate(CONTRAST) == []
    seen.find(str(over.scored.source_id.iloc[0]))
    assert seen.page.evaluate(CONTRAST) == []


def test_every_control_has_a_name(reader: Visit) -> None:
    seen = reader.home()
    bare = "[...document.querySelectorAll('.pd-page button, .pd-page input, .pd-page select, .pd-page a')].filter(n => !(n.textContent.trim() || n.getAttribute('aria-label') || n.labels?.length))"
    assert seen.page.evaluate(f"{bare}.map(n => n.outerHTML)") == []


def test_a_folder_without_results_is_a_page_that_says_so(
    browser: Any, serving: Callable[..., str], tmp_path: Path
) -> None:
    seen = Visit(browser, serving(tmp_path, warm=False))
    assert "Nothing to show yet" in seen.shown(".pd-view-book") and "make run" in seen.shown(".pd-view-book")
    seen.page.close()


def test_without_its_token_a_guarded_page_stays_shut(serving: Callable[..., str], trained: Path) -> None:
    url = serving(trained, warm=False, token="a-token-for-this-test")
    place, _, token = url.partition("?")
    for path in ("", "api/kernels", "voila/render/risk.ipynb"):
        shut = urllib.request.urlopen(place + path, timeout=60)
        assert "/login" in shut.url and b"pd-loading" not in shut.read(), path
    assert b"pd-loading" in urllib.request.urlopen(f"{place}?{token}", timeout=90).read()


def test_the_code_of_the_page_is_not_shown(address: str) -> None:
    html = urllib.request.urlopen(address, timeout=60).read().decode()
    assert "visit.show" not in html and "from predelinquency" not in html


# --- when nobody is there any more

LOST = "The connection to the page is lost"


@pytest.fixture(scope="module")
def fragile(
    serving: Callable[..., Any], trained: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, psutil.Process, Path]:
    "A server of its own, whose kernels may be ended, on a copy whose results may change."
    root = Path(shutil.copytree(trained, tmp_path_factory.mktemp("fragile") / "results"))
    return serving(root, warm=False), psutil.Process(serving.process.pid), root


def kernels(server: psutil.Process) -> set[str]:
    "The numbers of a server's kernels, from what they were started with."
    words = " ".join(
        w for child in server.children() if child.status() != psutil.STATUS_ZOMBIE for w in child.cmdline()
    )
    return set(re.findall(r"kernel-([0-9a-f-]{36})\.json", words))


def until(true: Callable[[], bool], seconds: float) -> bool:
    "Ask until it is so, or until the time is up."
    end = time.monotonic() + seconds
    while not (so := true()) and time.monotonic() < end:
        time.sleep(0.1)
    return so


def says_it_is_lost(seen: Visit) -> None:
    "In words, with a button, and nothing looks alive."
    seen.page.wait_for_selector(".pd-notice.lost", timeout=20_000)
    assert LOST in seen.shown(".pd-notice") and seen.page.get_by_role("button", name="Load it again").count() == 1
    assert seen.page.evaluate(
        "document.querySelector('.pd-page').inert && !document.body.classList.contains('pd-busy')"
    )


def crashed(seen: Visit, fragile: tuple[str, psutil.Process, Path]) -> None:
    for kernel in fragile[1].children():
        kernel.kill()


def culled(seen: Visit, fragile: tuple[str, psutil.Process, Path]) -> None:
    for kernel in kernels(fragile[1]):
        urllib.request.urlopen(
            urllib.request.Request(f"{fragile[0]}voila/api/shutdown/{kernel}", method="POST"), timeout=30
        )


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(crashed, id="its kernel crashed", marks=pytest.mark.long),
        pytest.param(culled, id="its kernel was ended"),
    ],
)
def test_a_page_without_its_kernel_says_so_and_can_be_loaded_again(
    browser: Any, fragile: tuple[str, psutil.Process, Path], pictures: Path, what: Callable[..., None]
) -> None:
    seen = Visit(browser, fragile[0])
    what(seen, fragile)
    says_it_is_lost(seen)
    seen.page.screenshot(path=pictures / "lost.png")
    seen.page.get_by_role("button", name="Load it again").click()
    seen.page.wait_for_function(
        f"document.body && document.body.dataset.pdView && {QUIET} && !document.querySelector('.pd-notice')",
        timeout=90_000,
    )
    seen.page.close(run_before_unload=True)


@pytest.mark.long
def test_a_page_whose_messages_nothing_lets_through_says_so(
    browser: Any, fragile: tuple[str, psutil.Process, Path]
) -> None:
    shut, lines = False, []

    def proxy(line: Any) -> None:
        if shut:
            return line.close()
        lines.append(line)
        line.connect_to_server()

    context = browser.new_context()
    page = context.new_page()
    page.route_web_socket(re.compile("channels"), proxy)

    class There:
        "Opens no page of its own."

        new_page = staticmethod(lambda **_: page)

    seen = Visit(There(), fragile[0])
    shut = True
    for line in lines:
        line.close()
    says_it_is_lost(seen)
    context.close()


@pytest.mark.long
def test_a_kernel_that_was_only_slow_is_there_again(browser: Any, fragile: tuple[str, psutil.Process, Path]) -> None:
    seen, asleep = Visit(browser, fragile[0]), fragile[1].children()
    try:
        for kernel in asleep:
            kernel.suspend()
        says_it_is_lost(seen)
    finally:
        for kernel in asleep:
            kernel.resume()
    seen.page.wait_for_selector(".pd-notice", state="detached", timeout=20_000)
    assert not seen.page.evaluate("document.querySelector('.pd-page').inert")
    seen.page.close(run_before_unload=True)


def test_newer_results_are_told_of(browser: Any, fragile: tuple[str, psutil.Process, Path]) -> None:
    seen = Visit(browser, fragile[0])
    assert not seen.page.is_visible(".pd-notice")
    for file in (fragile[2] / "reports").glob("*.parquet"):
        os.utime(file, (1, 1))
    seen.page.wait_for_selector(".pd-notice.newer", timeout=20_000)
    assert "newer results" in seen.shown(".pd-notice") and not seen.page.evaluate(
        "document.querySelector('.pd-page').inert"
    )
    seen.page.get_by_role("button", name="Show them").click()
    seen.page.wait_for_function(
        f"document.body && document.body.dataset.pdView && {QUIET} && !document.querySelector('.pd-notice')",
        timeout=90_000,
    )
    seen.page.close(run_before_unload=True)


def test_the_kernel_of_a_page_that_was_left_is_gone_in_five_seconds(
    browser: Any, fragile: tuple[str, psutil.Process, Path]
) -> None:
    before = kernels(fragile[1])
    seen = Visit(browser, fragile[0])
    mine = kernels(fragile[1]) - before
    assert len(mine) == 1
    seen.page.goto("about:blank")
    assert until(lambda: not mine & kernels(fragile[1]), 5)
    seen.page.close()


def test_a_page_whose_server_has_ended_says_so(browser: Any, fragile: tuple[str, psutil.Process, Path]) -> None:
    "The last one: the server is gone afterwards."
    seen = Visit(browser, fragile[0])
    fragile[1].terminate()
    says_it_is_lost(seen)
    seen.page.close()
