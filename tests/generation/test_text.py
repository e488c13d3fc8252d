"""Text as it comes: whole characters, and nothing from a stop text on."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tnnlab.data.tokenizers import ByteTokenizer
from tnnlab.generation import TextStream

BYTES = ByteTokenizer()


def pieces(stream: TextStream, tokens: list[int]) -> list[str]:
    return [*(stream.feed(token) for token in tokens), stream.flush()]


@settings(max_examples=200, derandomize=True)
@given(text=st.text(max_size=20))
def test_a_text_comes_in_whole_characters(text: str) -> None:
    found = pieces(TextStream(BYTES), list(text.encode()))
    assert "".join(found) == text
    assert [piece for piece in found if piece] == list(text)


@settings(max_examples=300, derandomize=True)
@given(tokens=st.lists(st.integers(0, 256), max_size=20))
def test_bytes_that_are_no_text_are_shown_as_the_tokenizer_does(tokens: list[int]) -> None:
    assert "".join(pieces(TextStream(BYTES), tokens)) == BYTES.decode(tokens)


@settings(max_examples=300, derandomize=True)
@given(text=st.text("ab", max_size=12), stop=st.text("ab", min_size=1, max_size=4))
def test_it_ends_before_the_stop_text(text: str, stop: str) -> None:
    stream = TextStream(BYTES, [stop])
    assert "".join(pieces(stream, list(text.encode()))) == text.split(stop)[0]
    assert stream.stopped == (stop in text)


def test_the_first_complete_stop_text_counts() -> None:
    stream = TextStream(BYTES, ["</code>", "\n\n"])
    found = pieces(stream, list(b"a <c\n\nb </code>"))
    assert found[:6] == ["a", " ", "", "<c", "", ""]
    assert "".join(found) == "a <c" and stream.stopped


def test_what_might_become_a_stop_text_waits() -> None:
    stream = TextStream(BYTES, ["ab€"])
    euro = list("€".encode())
    assert [stream.feed(token) for token in (*b"aab", *euro[:2])] == ["", "a", "", "", ""]
    assert stream.feed(ord("a")) == "ab\ufffd"  # half a character after all
    assert stream.flush() == "a"
    assert [stream.feed(token) for token in (*b"ab", *euro)] == ["", "", "", "", ""]
    assert stream.stopped and stream.feed(65) == "" and stream.flush() == ""


def test_an_empty_stop_text_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one character"):
        TextStream(BYTES, [""])
