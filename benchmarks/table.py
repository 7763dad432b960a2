"""A measured number, its yardstick, and the table they are printed in."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """`ours` in `unit`; `straight` is the same work without us; `goal` in words."""

    what: str
    ours: float
    unit: str
    straight: float | None = None
    goal: str = ""
    met: bool | None = None

    @property
    def ratio(self) -> float | None:
        return self.ours / self.straight if self.straight else None


def show(title: str, numbers: Sequence[Number]) -> None:
    rows = [("", "ours", "straight", "ratio", "goal", "")]
    for number in numbers:
        rows.append(
            (
                number.what,
                _figure(number.ours, number.unit),
                _figure(number.straight, number.unit) if number.straight is not None else "",
                f"{number.ratio:.2f}" if number.ratio else "",
                number.goal,
                {True: "met", False: "NOT MET", None: ""}[number.met],
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    print(f"\n## {title}")
    for i, row in enumerate(rows):
        cells = [
            cell.ljust(width) if column in (0, 4, 5) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
        if i == 0:
            print("  ".join("-" * width for width in widths))
    print(flush=True)


def median_ms(work: Callable[[], object], runs: int = 9, warmup: int = 2) -> float:
    for _ in range(warmup):
        work()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


def _figure(value: float, unit: str) -> str:
    digits = 0 if value >= 100 or unit in ("characters",) else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"
