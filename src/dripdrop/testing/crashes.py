"""What is left behind when an operation dies at one of its queries?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from dripdrop.store.flow import Flow, Query, Row
from dripdrop.store.runners import shaped

T = TypeVar("T")
Ask = Callable[[Query], list[Row]]


class Died(BaseException):
    """The process is gone: no handler of the operation may run on."""


def count_queries(ask: Ask, flow: Flow[Any]) -> int:
    """How many queries an operation asks, carried out to its end."""
    asked = 0
    try:
        query = next(flow)
        while True:
            asked += 1
            query = flow.send(shaped(query, ask(query)))
    except StopIteration:
        return asked


def die_at(ask: Ask, flow: Flow[Any], point: int, *, after: bool) -> None:
    """Carry out an operation up to its query `point` (1 is the first), and die before or after that is carried out."""
    query = next(flow)
    for number in range(1, point):
        del number
        query = flow.send(shaped(query, ask(query)))
    if after:
        ask(query)
    flow.close()
    raise Died


def crash_points(total: int) -> Iterator[tuple[int, bool]]:
    """Every place an operation of `total` queries can die at: (query, after it)."""
    for point in range(1, total + 1):
        yield point, False
        yield point, True
