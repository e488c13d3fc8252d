"""WikiText's tokens as plain text again: the spaces that its tokenizer put in are taken out.

The tokenizer is gone with its input, so this is a set of rules. Where English leaves a choice
(`` – `` between words, a ``'`` that ends a quotation or a plural), the commoner form is taken.
"""

import re

# What a token does to the spaces on its two sides.
_OPENING = set("([“‘$£€¥₱₩₤#@~")  # takes away the space after it
_CLOSING = {*",.;:!?%)]”’°′″♭♯*", ".."}  # … the one before it
_JOINING = {*"—/‑⁄"}  # … both
_MARKED = {"@-@": "-", "@,@": ",", "@.@": "."}  # both; the signs for what stood inside a word

_NUMBER = r"\d[\d,.]*(st|nd|rd|th|s)?"
_ROMAN = "[IVXLC]+"
_NAME = r"[A-Z]\w.*"
_ENDINGS = "s|t|m|d|re|ve|ll"
# Rules for a token between two others, each matched as a whole, in order of precedence:
# the token, what is before it, what comes after it, spaces that go (l: left, r: right).
_BETWEEN = [
    ("–", _NUMBER, f"{_NUMBER}|present", "lr"),  # 1994 – 95
    ("–", _ROMAN, _ROMAN, "lr"),
    ("–", _NAME, _NAME, "lr"),  # Israeli – Palestinian
    (":", r"\d+", r"\d+", "lr"),  # 21 : 00
    ("&", "[A-Z]{1,2}", r"[A-Z]{1,2}\d?", "lr"),  # R & B
    ("+", r"\d+", r"\d+", ""),
    ("+", r".*", r"[\d.]+", "r"),  # + 43 degrees
    ("+", "[A-Z]+", r"(?![A-Z]).*", "l"),  # a grade of A +
    ("−", r"\d+", r"\d+", "lr"),
    ("−", r".*", r"[\d.]+", "r"),
    ("°", r".*", "[CF]", "r"),  # 20 ° C
    ("°", r".*", r"\d+", "lr"),  # 57 ° 53 ′ N
    ("′", r".*", r"\d+|[NESW]\b.*", "lr"),
    ("″", r".*", r"[NESW]\b.*", "lr"),
    ("$", "US|A|AU|C|CA|HK|NZ|S|R", r".*", "lr"),  # US $ 200
    ("...", r".*\w|,", r".*", "l"),
    ("...", r"\[", r".*", "lr"),
    ("’", r".*", _ENDINGS, "lr"),
    ("'", r".*", _ENDINGS, "lr"),
    ("'", r".*", r"\d0s", "r"),  # the ' 70s
]
_RULES = [(t, re.compile(b), re.compile(a), sides) for t, b, a, sides in _BETWEEN]
# "[ b ] ut" was one word; "[ a ] man" was two.
_LETTER = re.compile(r"\[ ((?![aAI])\w) \] (?=[a-z])")
_NEAR = 8  # tokens within which a quotation that follows an s must end


def detokenize(line: str) -> str:
    """A line of WikiText (Merity et al., 2016) as plain text, without white space at its ends.

    >>> detokenize(' It \\'s " red @-@ tipped " ( 3 @.@ 5 – 20 @,@ 000 m ) . \\n')
    'It\\'s "red-tipped" (3.5–20,000 m).'
    """
    tokens = _LETTER.sub(r"[\1]", line).split()
    text, glued = [], True
    quotes = {'"': False, "'": False}  # whether one is open
    for place, token in enumerate(tokens):
        before = tokens[place - 1] if place else ""
        sides = _sides(token, before, tokens[place + 1 :], quotes)
        text.append(_MARKED.get(token, token) if glued or "l" in sides else f" {token}")
        glued = "r" in sides
    return "".join(text)


def _sides(token: str, before: str, after: list[str], quotes: dict[str, bool]) -> str:
    """Which spaces beside a token go: any of "l" and "r"."""
    following = after[0] if after else ""
    for name, left, right, sides in _RULES:
        if token == name and left.fullmatch(before) and right.fullmatch(following):
            return sides
    if token == '"' or (token == "'" and (quotes[token] or _opens(before, after))):
        quotes[token] = not quotes[token]
        return "r" if quotes[token] else "l"
    if token in _MARKED or token in _JOINING:
        return "lr"
    if token in _OPENING:
        return "r"
    # A word is cut before its apostrophe: "don" "'t", "K" "'inich".
    return "l" if token in _CLOSING or token.startswith("'") else ""


def _opens(before: str, after: list[str]) -> bool:
    """Whether a ``'`` begins a quotation; if not, it belongs to the word before it."""
    ends = [place for place, token in enumerate(after) if token == "'" and place]
    if before.endswith("s"):
        # A plural's ("the Knights ' game"), unless a quotation ends soon that must have begun.
        return any(place < _NEAR and not after[place - 1].endswith("s") for place in ends[:1])
    return bool(ends)
