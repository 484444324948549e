# SPDX-License-Identifier: Apache-2.0
"""Ways of the lines between modifiers and mentions: beside each other, round by the edge, ends in order."""

from __future__ import annotations

from fedmed_desktop.desktop.look.links import Place, routes


def place(left: float, line: float = 0.0, width: float = 40.0) -> Place:
    return Place(left, left + width, line + 12, line)


def test_that_lines_over_the_same_words_take_lanes_of_their_own() -> None:
    drug, dose, way = place(0), place(50), place(100)
    found = routes([([dose], [drug]), ([way], [drug])])
    inner, outer = found.routes
    assert (inner.tail_lane, outer.tail_lane) == (0, 1) and found.lanes == 2 and found.edges == 0
    assert inner.head_x < outer.head_x  # where a line comes from decides where it ends


def test_that_lines_apart_share_a_lane() -> None:
    found = routes([([place(50)], [place(0)]), ([place(250)], [place(200)])])
    assert [route.tail_lane for route in found.routes] == [0, 0] and found.lanes == 1


def test_that_a_line_to_another_line_of_text_goes_by_the_edge() -> None:
    found = routes([([place(50, 60)], [place(0)]), ([place(120, 60)], [place(80)])])
    assert {route.edge for route in found.routes} == {0, 1} and found.edges == 2
    lanes = [(route.head.line, route.head_lane) for route in found.routes]
    assert len(set(lanes)) == 2


def test_that_of_a_broken_mention_the_nearest_part_is_joined() -> None:
    first, second = place(200), place(0, 30)
    (route,) = routes([([place(60, 30)], [first, second])]).routes
    assert route.head == second and route.edge is None
