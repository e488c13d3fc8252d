"""WikiText's tokens as plain text: lines of the real text, and what must hold for any line."""

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tnnlab.data.detokenize as module
from tnnlab.data.detokenize import detokenize

# (WikiText, plain). The left column is quoted from WikiText-103's validation and test text.
LINES = [
    (
        " It may grow to 60 cm ( 24 in ) and 6 kilograms ( 13 lb ) , and bears claws . ",
        "It may grow to 60 cm (24 in) and 6 kilograms (13 lb), and bears claws.",
    ),
    ("only becoming \" lobster red \" on cooking .", 'only becoming "lobster red" on cooking.'),
    ("It is estimated that only 1 in every 20 @,@ 000 survives", "only 1 in every 20,000"),
    ("weigh 0 @.@ 7 – 2 @.@ 2 kg ( 1 @.@ 5 – 4 @.@ 9 lb ) .", "weigh 0.7–2.2 kg (1.5–4.9 lb)."),
    ("white or white @-@ tipped .", "white or white-tipped."),
    ("the First Sino @-@ Japanese War of 1894 – 95", "Sino-Japanese War of 1894–95"),
    ("( June 7 , 1955 – August 13 , 1989 )", "(June 7, 1955 – August 13, 1989)"),
    ("two children with <unk> – Claudia Octavia", "with <unk> – Claudia Octavia"),
    ("over the Israeli – Palestinian conflict", "the Israeli–Palestinian conflict"),
    ("the main force — which stayed — won", "the main force—which stayed—won"),
    ("doctors couldn 't have ; they 'd be , I 'm", "doctors couldn't have; they'd be, I'm"),
    ("<unk> 's battalion , K 'inich , de l 'Étang", "<unk>'s battalion, K'inich, de l'Étang"),
    ("in the Knights ' rushing and return game .", "in the Knights' rushing and return game."),
    ("the term ' battleship ' came", "the term 'battleship' came"),
    ("descriptions ' battleship ' and ' armored cruiser ' came",
     "descriptions 'battleship' and 'armored cruiser' came"),
    ("the 1980s and ' 90s , such work", "the 1980s and '90s, such work"),
    ("He ’ s calm ; the evacuees ’ wartime", "He’s calm; the evacuees’ wartime"),
    ("“ Weevils Wobble But They Don ’ t Go Down ” received",
     "“Weevils Wobble But They Don’t Go Down” received"),
    ("110 mph ( 177 km / h ) , recycled and / or recyclable", "(177 km/h), recycled and/or"),
    ("At 21 : 00 the first ; For example : \n", "At 21:00 the first; For example:"),
    ("receipts of £ 120 , over ₱ 5 billion , US $ 200", "of £120, over ₱5 billion, US$200"),
    ("between -3 and + 20 degrees ; a grade of A + by all", "-3 and +20 degrees; a grade of A+"),
    ("a [ 3 + 2 ] addition ; − 5 ; 10 − 26", "a [3 + 2] addition; −5; 10−26"),
    ("below − 80 ° C ( − 112 ° F ) ; 360 ° Tour", "below −80 °C (−112 °F); 360° Tour"),
    ("( 4 ° 11 ′ 56 ″ S 152 ° 9 ′ 57 ″ E )", "(4°11′56″S 152°9′57″E)"),
    ("AT & T , A & M , R & D1 but Barr & Stroud", "AT&T, A&M, R&D1 but Barr & Stroud"),
    ("the game at # 7 ; M ‑ 28 ; 1 1 ⁄ 2 inches ; 56 @.@ 1 % of",
     "the game at #7; M‑28; 1 1⁄2 inches; 56.1% of"),
    ("feels ecstatic [ ... ] a collage", "feels ecstatic [...] a collage"),
    ('that " ... when the Empire is at war , so', 'that "... when the Empire is at war, so'),
    ("must not let him speak ... his tongue", "must not let him speak... his tongue"),
    ("sides of the water ... [ with ] alcoves", "sides of the water... [with] alcoves"),
    ("[ b ] ut he does ; [ a ] man", "[b]ut he does; [a] man"),
    ('such as " Help ! " , " Lady Madonna " and', 'such as "Help!", "Lady Madonna" and'),
    ('said , " [ Lesnar ] \' s not well " .', 'said, "[Lesnar]\'s not well".'),
]  # fmt: skip


@pytest.mark.parametrize(("line", "plain"), LINES)
def test_lines_read_as_they_were_written(line: str, plain: str) -> None:
    assert plain in detokenize(line)


def test_the_example() -> None:
    assert doctest.testmod(module).failed == 0


TOKENS = "the Knights <unk> @-@ @,@ @.@ 's 't US 1900 C IV ... .. present s"
SIGNS = ",.;:!?%()[]“”‘’'\"–—-/&+−°′″$£#@~="


@settings(derandomize=True)
@given(st.lists(st.sampled_from([*TOKENS.split(), *SIGNS]), max_size=30))
def test_only_spaces_and_marks_go(tokens: list[str]) -> None:
    plain = detokenize(" ".join(tokens))
    kept = "".join({"@-@": "-", "@,@": ",", "@.@": "."}.get(token, token) for token in tokens)
    assert plain.replace(" ", "") == kept
    assert plain == plain.strip() and "  " not in plain
    assert plain.count("<unk>") == tokens.count("<unk>")
