"""Frames as one moving SVG: each seen in its turn, each line drawn once, and not too large."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from tests.console.animation import ANIMATION, FRAME_S, LENGTH_S
from tests.console.film import CELL, LINE, Film, Look, Piece

PLAIN = Look("#ffffff")
AMBER = Look("#000000", "#ffaa00", bold=True)

SVG = "{http://www.w3.org/2000/svg}"

MAX_BYTES = 1_500_000


def film(*screens: list[str]) -> ElementTree.Element:
    """The picture of screens of plain lines."""
    frames = [tuple((Piece(line, PLAIN),) for line in lines) for lines in screens]
    return ElementTree.fromstring(Film(frames, each_s=0.5, ground="#111111").svg())  # noqa: S314 - our own


def test_each_frame_is_seen_in_its_turn_and_what_stays_is_drawn_once() -> None:
    picture = film(["same", "one"], ["same", "two"], ["same", "<3>"])
    frames = picture.findall(f"{SVG}g/{SVG}g")
    assert [frame.get("style") for frame in frames] == [
        None,
        "animation-delay:0.5s",
        "animation-delay:1s",
    ]
    drawn = {group.get("id"): "".join(group.itertext()) for group in picture.iter(f"{SVG}g")}
    assert [
        [drawn[use.attrib["href"][1:]] for use in frame.findall(f"{SVG}use")] for frame in frames
    ] == [["same", "one"], ["same", "two"], ["same", "<3>"]]
    assert sum(text == "same" for text in drawn.values()) == 1
    style = picture.findtext(f"{SVG}style") or ""
    assert "animation:f 1.5s step-end infinite" in style
    assert "33.3333%" in style


def test_text_stands_in_its_cells_and_blocks_are_as_high_as_they_are() -> None:
    row = (Piece("ab ", PLAIN), Piece(" up ", AMBER), Piece("▄▄█", PLAIN))
    made = Film([(row,)], each_s=1.0, ground="#111111").svg()
    picture = ElementTree.fromstring(made)  # noqa: S314 - our own
    first, second = picture.iter(f"{SVG}text")
    assert (first.get("x"), second.get("x")) == ("0.0", f"{4 * CELL:.1f}")
    [path] = picture.iter(f"{SVG}path")
    heights = [float(high) for high in re.findall(r"v([\d.]+)", path.attrib["d"])]
    assert heights == [LINE / 2, LINE]
    assert "font-weight:bold" in (picture.findtext(f"{SVG}style") or "")


def test_the_moving_picture_is_thirty_seconds_long_and_not_too_large() -> None:
    text = ANIMATION.read_text()
    assert len(text) < MAX_BYTES
    assert text.count('<g class="f"') == LENGTH_S / FRAME_S
    for told in ("HEALTHY", "DEGRADED", "hedges/min"):
        assert told in text
