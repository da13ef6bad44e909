"""Draw small charts for the report as SVG text. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 24, 12, 32


def line_chart(points: Sequence[tuple[float, float]], x_label: str, y_label: str) -> str:
    """A curve through at least two `points` with ticks at round figures; the y axis need not begin at zero."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x_ticks, y_ticks = ticks(0, max(xs)), ticks(min(ys), max(ys))
    x_high = max(max(xs), x_ticks[-1])
    y_low, y_high = min(y_ticks[0], min(ys)), max(y_ticks[-1], max(ys))

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / x_high
        down = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - y_low) / (y_high - y_low)
        return round(across, 1), round(down, 1)

    path = " ".join("{},{}".format(*place(x, y)) for x, y in points)
    grid = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place(0, y)[1]}" y2="{place(0, y)[1]}" class="grid"/>'
        f'<text x="{LEFT - 6}" y="{place(0, y)[1] + 4}" text-anchor="end">{y:g}</text>'
        for y in y_ticks
    )
    below = "".join(
        f'<text x="{place(x, y_low)[0]}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:,.0f}</text>'
        for x in x_ticks
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(y_label)} by {escape(x_label)}">'
        f'{grid}{below}<polyline points="{path}" class="curve"/>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" text-anchor="end" class="label">{escape(x_label)}</text>'
        f'<text x="4" y="{TOP}" class="label">{escape(y_label)}</text></svg>'
    )


def bar(share: float, label: str) -> str:
    """A horizontal bar filled by `share`, 0..1."""
    return (
        f'<svg viewBox="0 0 100 8" preserveAspectRatio="none" class="bar" role="img" aria-label="{escape(label)}">'
        f'<rect width="100" height="8" class="rest"/><rect width="{100 * share:.1f}" height="8" class="done"/></svg>'
    )


def ticks(low: float, high: float) -> list[float]:
    """Three to seven round figures from `low` or below to `high` or above."""
    span = max(high - low, 1e-6 * max(abs(high), 1.0))
    step = 10.0 ** math.floor(math.log10(span / 3))
    for factor in (1, 2, 5, 10):
        if span / (step * factor) <= 5:
            step *= factor
            break
    first, last = int(low // step), -int(-high // step)
    return [round(step * i, 10) for i in range(first, max(last, first + 1) + 1)]
