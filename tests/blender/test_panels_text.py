"""Sentences fit the width they are given, whatever they are made of."""

import itertools

import blf
import pytest

from pamir_blender.addon.panels_text import broken

POINTS = 11
SENTENCE = "The photo is not at /home/somebody/with/a/long/path/photo.jpg any more. Choose it again, please."


@pytest.mark.parametrize(
    "text", [SENTENCE, "W" * 200, "i" * 200 + " " + "m" * 200, "Straße 写真 " * 20, "", " "]
)
@pytest.mark.parametrize("width", [100, 220, 900])
def test_every_line_fits_and_no_letter_is_lost(text, width):
    lines = broken(text, width, POINTS)
    blf.size(0, POINTS)
    assert all(blf.dimensions(0, line)[0] <= width for line in lines)
    assert "".join(lines).replace(" ", "") == "".join(text.split())


def test_lines_are_as_full_as_they_can_be():
    lines = broken(SENTENCE.replace("/", " "), 220, POINTS)
    for line, following in itertools.pairwise(lines):
        blf.size(0, POINTS)
        assert blf.dimensions(0, f"{line} {following.split()[0]}")[0] > 220


def test_a_width_of_nothing_still_ends():
    assert broken("Photo", 1, POINTS) == ("P", "h", "o", "t", "o")
