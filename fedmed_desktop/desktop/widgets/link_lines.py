# SPDX-License-Identifier: Apache-2.0
"""Lines that are drawn in a marked text from each modifier to the mention that it belongs to, with an arrow there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen, QPolygonF

from ...clinical import Span
from ...clinical.tasks import Link
from ..look import theme
from ..look.links import Place, Route, Routes, routes
from ..look.tokens import mixed

EDGE_PX, FIRST_PX, LANE_PX, ROUND_PX, ARROW_PX = 4, 6, 5, 3, 4
MOST_EDGES, MOST_LANES = 4, 5  # at the left edge, and above a line of words; where there are more, they lie closer
CLEAR_PX = 8  # of the room between two lines of words: the edges of their marks (4), and as much air below an underline
_QUIET = 0.45  # of a line's colour where another link is chosen


class LinkLines:
    """Links of one text, where their lines run, and the painting of them in the document's coordinates."""

    def __init__(self) -> None:
        self._links: tuple[Link, ...] = ()
        self._chosen: Link | None = None
        self._drawn: list[Link] = []
        self._routes = Routes()

    def show(self, links: Sequence[Link], chosen: Link | None) -> bool:
        """True if anything is another than before."""
        if (tuple(links), chosen) == (self._links, self._chosen):
            return False
        self._links, self._chosen = tuple(links), chosen
        return True

    @property
    def drawn(self) -> list[Link]:
        return list(self._drawn)

    @property
    def edge(self) -> int:
        """Pixels left of the words, by the number of links alone: words that moved would change where links run."""
        return theme.px(EDGE_PX) * (min(len(self._links), MOST_EDGES) + 1) if self._links else 0

    def room(self, lanes: int) -> int:
        """Pixels between a line's words and those above it in which so many lanes lie clear of both."""
        between = theme.px(LANE_PX) * (min(lanes, MOST_LANES) - 1)
        return theme.px(CLEAR_PX) + theme.px(FIRST_PX) + between if lanes else 0

    def route(self, places: Callable[[Span], list[Place]], hidden: Collection[str]) -> int:
        """Finds the way of each line between shown types; the most lanes above a line of words."""
        ends = []
        self._drawn = []
        for link in self._links:
            if link.head.type in hidden or link.tail.type in hidden:
                continue
            tails, heads = places(link.tail), places(link.head)
            if tails and heads:
                ends.append((tails, heads))
                self._drawn.append(link)
        self._routes = routes(ends)
        return self._routes.lanes

    # -- painting ------------------------------------------------------------------------------------------------------

    def paint(self, painter: QPainter, tokens: Mapping[str, str]) -> None:
        """The chosen one last, over the others."""
        found = sorted(zip(self._drawn, self._routes.routes, strict=True), key=lambda one: one[0] == self._chosen)
        for link, route in found:
            color = theme.active().color(tokens.get(link.tail.type, "accent"))
            is_chosen = link == self._chosen
            if self._chosen is not None and not is_chosen:
                color = QColor(mixed(color.name(), theme.active().color("card").name(), _QUIET))
            self._paint(painter, route, color, theme.px(2) + 0.5 if is_chosen else max(1.3, theme.px(1) * 1.3))

    def _paint(self, painter: QPainter, route: Route, color: QColor, width: float) -> None:
        pen = QPen(color, width)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        arrow = theme.px(ARROW_PX)
        tip = QPointF(route.head_x, route.head.top)
        painter.drawPath(_rounded([*self._corners(route), QPointF(route.head_x, route.head.top - arrow)]))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        half = arrow * 0.75
        painter.drawPolygon(QPolygonF([tip, tip + QPointF(-half, -arrow - 0.5), tip + QPointF(half, -arrow - 0.5)]))

    def _corners(self, route: Route) -> list[QPointF]:
        start = QPointF(route.tail_x, route.tail.top)
        up, down = self._height(route.tail, route.tail_lane), self._height(route.head, route.head_lane)
        if route.edge is None:
            return [start, QPointF(route.tail_x, up), QPointF(route.head_x, up)]
        x = self.edge * (1 - (route.edge + 1) / (max(self._routes.edges, MOST_EDGES) + 1))
        return [start, QPointF(route.tail_x, up), QPointF(x, up), QPointF(x, down), QPointF(route.head_x, down)]

    def _height(self, place: Place, lane: int) -> float:
        """y of a lane: the room above the words is shared out where the lanes do not fit as they are."""
        first = theme.px(FIRST_PX)
        room = place.top - place.line - first - theme.px(CLEAR_PX)
        pitch = min(float(theme.px(LANE_PX)), max(room, 0.0) / max(self._routes.lanes - 1, 1))
        return place.top - first - lane * pitch


def _rounded(points: Sequence[QPointF]) -> QPainterPath:
    """A path through the points, its corners rounded as far as there is room."""
    path = QPainterPath(points[0])
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        room = min(theme.px(ROUND_PX), _apart(before, corner) / 2, _apart(corner, after) / 2)
        path.lineTo(_towards(corner, before, room))
        path.quadTo(corner, _towards(corner, after, room))
    path.lineTo(points[-1])
    return path


def _apart(one: QPointF, other: QPointF) -> float:
    return abs(one.x() - other.x()) + abs(one.y() - other.y())


def _towards(start: QPointF, end: QPointF, by: float) -> QPointF:
    whole = _apart(start, end)
    return start + (end - start) * (by / whole) if whole else start
