from __future__ import annotations

import math
import re
from typing import Any

import pytest
from django.template.loader import render_to_string
from hypothesis import given
from hypothesis import strategies as st

from annotation import charts
from annotation.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH

FLOOR = HEIGHT - BOTTOM


def rows(*values: object, name: str = "loss") -> list[dict[str, Any]]:
    return [{"step": step, name: value} for step, value in enumerate(values, start=1)]


def drawn(*values: object) -> charts.Chart:
    chart = charts.draw(rows(*values), {"loss": "Loss"}, title="Loss", y_title="nats")
    assert chart is not None
    return chart


def points(chart: charts.Chart, line: int = 0) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (pair.split(",") for pair in segment.split())]
        for segment in chart.lines[line].segments
    ]


def test_points_are_where_their_values_put_them() -> None:
    assert points(drawn(0, 10, 5)) == [
        [(LEFT, FLOOR), ((LEFT + WIDTH - RIGHT) / 2, TOP), (WIDTH - RIGHT, (TOP + FLOOR) / 2)]
    ]


def test_ticks_stand_at_round_values_and_at_their_heights() -> None:
    chart = drawn(0, 10, 5)
    assert [tick.label for tick in chart.y_ticks] == ["0", "2", "4", "6", "8", "10"]
    assert chart.y_ticks[0].at == FLOOR
    assert chart.y_ticks[-1].at == TOP
    assert [tick.label for tick in chart.x_ticks] == ["1", "2", "3"]


def test_a_constant_series_is_a_level_line_inside_the_frame() -> None:
    [[first, *others]] = points(drawn(0.5, 0.5, 0.5))
    assert {y for _x, y in others} == {first[1]}
    assert TOP < first[1] < FLOOR


def test_a_constant_zero_can_be_drawn() -> None:
    assert len(points(drawn(0, 0))[0]) == 2


def test_one_point_is_a_dot() -> None:
    chart = drawn(0.7)
    assert chart.lines[0].segments == []
    assert len(chart.lines[0].dots) == 1
    assert chart.table == [("1", ["0.7"])]


@pytest.mark.parametrize("hole", [math.nan, math.inf, None, "oops", True])
def test_what_is_no_number_leaves_a_gap(hole: object) -> None:
    chart = drawn(1, 2, hole, 3, 4)
    assert [len(piece) for piece in points(chart)] == [2, 2]
    assert [step for step, _cells in chart.table] == ["1", "2", "4", "5"]


def test_a_lone_point_between_gaps_is_a_dot() -> None:
    chart = drawn(1, 2, None, 3, None, 4, 5)
    assert len(chart.lines[0].dots) == 1


def test_no_numbers_give_no_chart() -> None:
    assert charts.draw(rows(math.nan, None), {"loss": "Loss"}, title="Loss") is None
    assert charts.draw([], {"loss": "Loss"}, title="Loss") is None
    assert charts.draw([{"loss": 1.0}], {"loss": "Loss"}, title="Loss") is None


def test_a_step_that_comes_twice_counts_as_it_came_last() -> None:
    chart = charts.draw([*rows(1, 2), {"step": 2, "loss": 9}], {"loss": "Loss"}, title="Loss")
    assert chart is not None
    assert chart.table == [("1", ["1"]), ("2", ["9"])]


def test_two_series_share_one_axis() -> None:
    both = [{"step": 1, "loss": 0.0, "held_out/loss": 10.0}, {"step": 2, "loss": 10.0, "held_out/loss": 0.0}]
    chart = charts.draw(both, {"loss": "training", "held_out/loss": "held out"}, title="Loss")
    assert chart is not None
    assert points(chart, 0) == [[(LEFT, FLOOR), (WIDTH - RIGHT, TOP)]]
    assert points(chart, 1) == [[(LEFT, TOP), (WIDTH - RIGHT, FLOOR)]]
    assert chart.table[0] == ("1", ["0", "10"])


def test_a_metric_that_is_logged_now_and_then_is_one_line() -> None:
    looks = [{"step": step, "loss": 1.0, **({"held_out/loss": step} if step % 3 == 0 else {})} for step in range(1, 10)]
    chart = charts.draw(looks, {"loss": "training", "held_out/loss": "held out"}, title="Loss")
    assert chart is not None
    assert [len(piece) for piece in points(chart, 1)] == [3]


@given(st.lists(st.floats(-1e6, 1e6) | st.none(), min_size=301, max_size=2000))
def test_thinning_keeps_the_ends_the_peak_and_the_dip(values: list[float | None]) -> None:
    series = [(float(step), value) for step, value in enumerate(values)]
    kept = charts.thin(series)
    assert len(kept) <= 300
    assert kept[0] == series[0]
    assert kept[-1] == series[-1]
    assert [step for step, _value in kept] == sorted({step for step, _value in kept})
    if known := [value for value in values if value is not None]:
        left = [value for _step, value in kept if value is not None]
        assert (min(left), max(left)) == (min(known), max(known))


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_ticks_cover_the_values_and_are_few(low: float, spread: float) -> None:
    found = charts.ticks(low, low + spread)
    slack = 1e-6 * max(1.0, abs(low), abs(low + spread))
    assert found[0] <= low + slack
    assert found[-1] >= low + spread - slack
    assert 2 <= len(found) <= 12


def test_labels_of_a_small_constant_fit_beside_the_axis() -> None:
    labels = charts.tick_labels(charts.ticks(1e-4, 1e-4))
    assert labels[-1] == "1.1e-4"
    assert max(map(len, labels)) <= 7


def test_labels_of_small_steps_differ() -> None:
    for low, high in ((0.0, 1e-5), (0.6931, 0.6934), (-0.02, 0.02), (0, 2.5), (1e7, 3e7)):
        labels = charts.tick_labels(charts.ticks(low, high))
        assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.123456, "0.1235"),
        (12345.6, "12,346"),
        (3e-6, "3e-6"),
        (-0.00001, "-1e-5"),
        (12_340_000.0, "1.23e7"),
        (-2.5, "-2.5"),
    ],
)
def test_numbers_are_short(value: float, shown: str) -> None:
    assert charts.text(value) == shown


def test_the_picture_has_a_description_axes_and_a_table_and_no_inline_style() -> None:
    html = render_to_string("components/chart.html", {"chart": drawn(3, 1, 2), "id": "curve"})
    assert 'aria-label="Loss: from 3 at step 1 to 2 at step 3; lowest 1, highest 3."' in html
    assert re.search(r"<text[^>]*>step</text>", html)
    assert "(nats)" in html
    assert html.count("<tr>") == 4
    assert "style=" not in html


def test_a_title_cannot_smuggle_markup() -> None:
    chart = charts.draw(rows(1, 2), {"loss": "<b>"}, title="<script>")
    html = render_to_string("components/chart.html", {"chart": chart, "id": "curve"})
    assert "<script>" not in html
    assert "<b>" not in html
