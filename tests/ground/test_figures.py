"""Figures open without a network, are the same bytes again, and show what they were given."""

import json
import re

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from predelinquency.ground import figures, portraits

DAYS = pd.date_range("2025-01-01", periods=30)
BLOCKS = pd.DataFrame(
    dict(
        split=["train", "test"],
        customers=[50, 25],
        from_on=["2024-07-01", "2025-03-01"],
        to_on=["2024-12-01", "2025-05-01"],
    )
)
NUMBERS = pd.DataFrame(
    dict(
        name=["model", "calendar", "unknown"],
        value=[0.8, 0.7, np.nan],
        low=[0.75, 0.66, np.nan],
        high=[0.85, 0.74, np.nan],
    )
)
CURVE = pd.DataFrame(
    dict(
        name="model",
        false_positive_rate=[0, 0.2, 1],
        true_positive_rate=[0, 0.7, 1],
        recall=[0, 0.5, 1],
        precision=[np.nan, 0.3, 0.1],
    )
)
BINS = pd.DataFrame(
    dict(
        predicted=[0.001, 0.02, 0.2], observed=[0.0, 0.03, 0.18], low=[0, 0.01, 0.1], high=[0.004, 0.06, 0.3], rows=100
    )
)
CAPACITY = pd.DataFrame(
    dict(
        contacted=[0.01, 0.05, 0.1],
        recall=[0.1, 0.3, 0.5],
        low=[0.05, 0.2, 0.4],
        high=[0.2, 0.4, 0.6],
        precision=[0.3, 0.2, 0.1],
        lift=[10.0, 6, 5],
    )
)
DUES = pd.DataFrame(
    dict(
        due_on=pd.to_datetime(["2025-01-10", "2025-01-20"]),
        amount_minor=[5000, 6000],
        kind="loan",
        missed=[False, True],
    )
)
FIGURES = {
    "roc": lambda: figures.roc(CURVE),
    "precision_recall": lambda: figures.precision_recall(CURVE, 0.1),
    "calibration": lambda: figures.calibration(BINS),
    "score_distribution": lambda: figures.score_distribution(
        np.linspace(0.001, 0.5, 200), (np.arange(200) > 150).astype(int)
    ),
    "recall_at_capacity": lambda: figures.recall_at_capacity(CAPACITY, 0.05),
    "lift": lambda: figures.lift(CAPACITY),
    "intervals": lambda: figures.intervals(NUMBERS, "beside", reference=0.5),
    "over_time": lambda: figures.over_time(NUMBERS.dropna().rename(columns={"name": "month"})),
    "split_picture": lambda: figures.split_picture(BLOCKS),
    "timeline": lambda: portraits.timeline(
        pd.DataFrame(dict(on=DAYS, balance_minor=np.arange(30) * 1000)), DUES, [DAYS[4]], moments={"as of": DAYS[9]}
    ),
    "cash_timeline": lambda: portraits.cash_timeline(
        pd.DataFrame(dict(on=DAYS, balance_minor=np.arange(30) * 1000, savings_minor=np.nan)),
        pd.DataFrame(dict(week=DAYS[::7], in_minor=900, out_minor=700)),
        DUES.assign(state="paid", main=True),
        pd.DataFrame(dict(on=DAYS[:1], amount_minor=900)),
        DAYS[-1],
        portraits.Currency(symbol="£"),
    ),
    "score_history": lambda: portraits.score_history(
        pd.DataFrame(dict(as_of=DAYS, probability=0.1, learnt=np.arange(30) < 3)), [("Low", 0.0), ("High", 0.15)]
    ),
    "importance": lambda: portraits.importance(
        pd.DataFrame(dict(name=["a", "b"], value=[2.0, 1.0], group=["income", "savings"]))
    ),
    "waterfall": lambda: portraits.waterfall(
        pd.DataFrame(dict(name=["late pay", "low balance"], contribution=[1.0, -0.4])), -4.0, -2.0
    ),
    "beeswarm": lambda: portraits.beeswarm(
        pd.DataFrame(dict(a=[0.1, -0.2, 0.3])), pd.DataFrame(dict(a=[1.0, np.nan, 3.0]))
    ),
    "dependence": lambda: portraits.dependence(
        pd.DataFrame(dict(a=[0.1, -0.2, 0.3], b=0.0)), pd.DataFrame(dict(a=[1.0, np.nan, 3.0], b=np.nan))
    ),
    "heat": lambda: figures.heat(
        pd.DataFrame(dict(a=[0.1, np.nan], b=[1.0, 0.0]), ["x", "y"]), "shares", "a square is a share"
    ),
    "lines": lambda: figures.lines(pd.DataFrame(dict(a=[1, 2], b=[2, 1])), "two"),
    "bars": lambda: figures.bars(pd.Series([1, 2], index=["x", "y"]), "bars"),
    "histogram": lambda: figures.histogram(np.r_[np.arange(50.0), np.nan], "spread"),
    "bands": lambda: figures.bands(NUMBERS.dropna()),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_draws_in_the_theme_and_says_how_to_read_it(name):
    fig = FIGURES[name]()
    assert isinstance(fig, go.Figure) and fig.layout.template.layout.font.color == figures.INK
    if name in ("cash_timeline", "score_history"):
        return  # the card of the page that holds them has the title
    assert fig.layout.title.text and (fig.layout.title.subtitle.text or name in ("lines", "bars", "histogram"))


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_figure_is_the_same_bytes_and_asks_the_network_for_nothing(name):
    one, two = (figures.to_html(FIGURES[name]()) for _ in range(2))
    assert one == two
    assert not re.findall(r"""(?:src|href|import)\s*=?\s*["']https?:""", one)


def test_every_public_figure_is_tested_here():
    drawn = {
        n
        for room in (figures, portraits)
        for n in room.__all__
        if n.islower() and callable(getattr(room, n)) and n not in ("theme", "figure", "to_html", "offline", "bare")
    }
    assert drawn == set(FIGURES)


def test_a_report_carries_plotly_itself_and_draws_with_it():
    before = pio.renderers.default
    try:
        page = figures.offline().data
        bundle = pio.renderers[pio.renderers.default].to_mimebundle(FIGURES["roc"]().to_dict())
    finally:
        pio.renderers["predelinquency"], pio.renderers.default = figures.Renderer(), before
    assert len(page) > 1_000_000 and not re.search(r"<script[^>]+src=", page)
    assert set(bundle) == {"application/vnd.plotly.v1+json", "text/html"}
    json.dumps(bundle, allow_nan=False)


def test_outside_a_report_a_figure_is_only_data():
    bundle = figures.Renderer().to_mimebundle(FIGURES["timeline"]().to_dict())
    assert set(bundle) == {"application/vnd.plotly.v1+json"}
    json.dumps(bundle)


def contrast(a, b):
    def light(colour):
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        return sum(
            w * (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4)
            for w, c in zip((0.2126, 0.7152, 0.0722), channels, strict=True)
        )

    high, low = sorted((light(a), light(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_can_be_read_on_paper():
    assert contrast(figures.INK, figures.PAPER) >= 7 and contrast(figures.MUTED, figures.PAPER) >= 4.5


def test_what_is_not_known_is_left_out_and_not_drawn_as_zero():
    assert list(FIGURES["intervals"]().data[0].y) == ["model", "calendar"]
    assert sum(FIGURES["histogram"]().data[0].y) == pytest.approx(1)


def test_the_waterfall_ends_where_the_customer_stands():
    bars = FIGURES["waterfall"]().data[0]
    assert list(bars.base + bars.x)[-1] == pytest.approx(-2) and list(bars.x) == pytest.approx([1, -0.4, 1.4])


def test_splits_are_rectangles_that_share_no_row():
    shapes = FIGURES["split_picture"]().layout.shapes
    assert [(s.y0, s.y1) for s in shapes] == [(0, 50), (50, 75)]


def test_a_square_of_dependence_leaves_out_what_is_unknown_and_the_outermost_values():
    value = np.r_[np.arange(100.0), np.nan, 1e9]
    fig = portraits.dependence(pd.DataFrame(dict(a=value * 0)), pd.DataFrame(dict(a=value)))
    assert (
        fig.data[0].x.max() < 1e9
        and len(fig.data[0].x) == len(fig.data[0].y) == 99
        and not np.isnan(fig.data[0].x).any()
    )


def test_an_unknown_share_is_an_empty_square():
    assert [
        list(row) for row in figures.heat(pd.DataFrame(dict(a=[0.25, np.nan]), ["x", "y"]), "shares").data[0].text
    ] == [["25%"], [""]]


def test_a_dotted_line_is_said_where_it_lies_and_only_when_it_is_there():
    rows = NUMBERS.dropna().rename(columns={"name": "month"})
    assert (
        figures.over_time(rows, reference=0.91).layout.title.subtitle.text.endswith("the dotted line is at 0.91")
        and "dotted" not in figures.over_time(rows).layout.title.subtitle.text
    )
