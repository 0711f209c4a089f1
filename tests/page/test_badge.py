"""The badge: well-formed whatever is written on it, in the page's colours, and nothing of it comes alive."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdict.court.judge import LABELS
from verdict.errors import UserError
from verdict.page import words as page_words
from verdict.page.badge import COLOURS, LEFT_COLOUR, MARGIN, badge, told, width

SVG = "{http://www.w3.org/2000/svg}"
WORDS = page_words.load()
CSS = (Path(page_words.__file__).parent / "templates/page.css").read_text(encoding="utf-8")


def _verdict(label, counts, tests=()):
    claims = [{"id": f"A{n}", "label": each, "tests": []} for n, each in enumerate(counts, start=1)]
    claims[0]["tests"] = [{"label": each} for each in tests]
    return {"claims": claims, "final": {"label": label}}


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(LABELS) | st.text(max_size=12))
def test_any_text_makes_well_formed_svg_of_known_parts(left, right, label):
    root = ElementTree.fromstring(badge(left, right, label))
    assert {part.tag.removeprefix(SVG) for part in root.iter()} <= {"svg", "title", "g", "path", "text"}
    allowed = {"width", "height", "viewBox", "role", "aria-label", "fill", "d", "x", "y", "textLength", "lengthAdjust"}
    assert {name for part in root.iter() for name in part.attrib} <= allowed | {"font-family", "font-size"}
    assert {part.attrib["fill"] for part in root.iter(f"{SVG}path")} <= {LEFT_COLOUR, *COLOURS.values()}
    # attributes turn line ends into blanks; all else is there as it was, but for what XML cannot hold
    shown = " ".join(root.attrib["aria-label"].split())
    assert shown == " ".join(re.sub("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", f"{left}: {right}").split())


def test_what_looks_like_a_script_is_text():
    drawn = badge("<script>alert(1)</script>", '"&onload="x" ]]>', "tie")
    assert "<script" not in drawn
    root = ElementTree.fromstring(drawn)
    assert root.find(f"{SVG}title").text == '<script>alert(1)</script>: "&onload="x" ]]>'
    assert [part.text for part in root.iter(f"{SVG}text")] == ["<script>alert(1)</script>", '"&onload="x" ]]>']


def test_it_has_a_name_for_those_who_hear_it_and_needs_nothing_from_elsewhere():
    drawn = badge("A1", "tie", "tie")
    root = ElementTree.fromstring(drawn)
    assert (root.attrib["role"], root.attrib["aria-label"], root.find(f"{SVG}title").text) == (
        "img",
        "A1: tie",
        "A1: tie",
    )
    assert not re.search(r"href|url\(|@import|http(?!://www\.w3\.org/2000/svg)", drawn)


@given(st.text(max_size=30), st.text(max_size=30))
def test_plates_are_as_wide_as_what_stands_on_them(left, right):
    root = ElementTree.fromstring(badge(left, right, "tie"))
    assert int(root.attrib["width"]) >= 4 * MARGIN
    ends = [int(part.attrib["x"]) + int(part.attrib["textLength"]) for part in root.iter(f"{SVG}text")]
    assert all(end + MARGIN <= int(root.attrib["width"]) for end in ends)


@pytest.mark.parametrize(
    ("text", "pixels"),  # as Chromium measures DejaVu Sans at 11 pixels
    [("Transformer, for sure?", 121.2), ("not yet tried", 68.2), ("WWWiiii@@", 66.6), ("中文 badge", 60.0),
     ("only when … · 7 only when, 2 contradicted, 12 inconclusive", 327.8)],
)  # fmt: skip
def test_widths_are_those_of_the_font(text, pixels):
    assert width(text) == pytest.approx(pixels, abs=2.5)


def test_combining_marks_take_no_room():
    assert width("e\u0301") == width("e")


def test_colours_are_those_of_the_page_and_white_can_be_read_on_them():
    assert tuple(COLOURS) == LABELS
    first = dict(re.findall(r"--l-([\w-]+): (#\w{6});", CSS.split("}")[0]))
    assert {label.replace("_", "-"): colour for label, colour in COLOURS.items()} == first
    for colour in (LEFT_COLOUR, *COLOURS.values()):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        light = sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
        assert 1.05 / (light + 0.05) >= 4.5, colour


@pytest.mark.parametrize(
    ("verdict", "claim", "right"),
    [
        (_verdict("only_when", ["only_when", "tie", "tie"]), None, "only when … · 1 only when, 2 tie"),
        (_verdict("supported", ["supported"] * 3), None, "3 supported"),
        (_verdict("tie", ["contradicted", "tie"], ["supported", "contradicted"]), "A1",
         "contradicted · 1 supported, 1 contradicted"),
        (_verdict("tie", ["not_tried", "tie"], ["not_tried"]), "A1", "1 not yet tried"),
        (_verdict("tie", ["not_tried", "tie"]), "A2", "tie"),
    ],
)  # fmt: skip
def test_it_says_label_and_counts(verdict, claim, right):
    left, said, label = told(verdict, WORDS, claim)
    assert (left, said) == (claim or "Transformer, for sure?", right)
    assert label == (verdict["claims"][int(claim[1]) - 1] if claim else verdict["final"])["label"]


def test_an_unknown_claim_is_told():
    with pytest.raises(UserError, match="no claim 'Z9'; write one of A1, A2 after --claim"):
        told(_verdict("tie", ["tie", "tie"]), WORDS, "Z9")
