"""The network in the page writes what Python writes, by states and by reading everything again."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("anywidget", reason="anywidget is not installed")
from tests.browser.test_live import PAGE
from tests.widgets.writers import SYSTEMS, small_packed
from tnnlab.generation import generate, make_decoder
from tnnlab.widgets import Writer
from tnnlab.widgets.packed import unpack
from tnnlab.widgets.writer import STORED, write

NAMES = ["title", "description", "note", "prompt", "temperature", "most", "sample", "weights"]
# Tokens by one of the two readers, each the most likely one, and the scores after the last.
GREEDY = """async ([source, weights, reader, tokens, count]) => {
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const network = await import(address);
  const from = new network[reader](network.readModel(weights));
  let scores;
  for (let i = 0; i <= count; i++) {
    const steps = from.read(tokens);
    let step = steps.next();
    while (!step.done) step = steps.next();
    scores = step.value;
    if (i < count) tokens.push(network.choose(scores, 0));
  }
  return [tokens, [...scores]];
}"""


@pytest.fixture
def live(tmp_path: Path, visit: Any) -> Any:
    """`live(writer)` opens a page with nothing but this writer."""

    def go(writer: Writer) -> Any:
        page = PAGE.format(
            css=writer._css,
            state=json.dumps(writer.get_state(NAMES)),
            source=json.dumps(writer._esm).replace("</", "<\\/"),
        )
        (tmp_path / "live.html").write_text(page, encoding="utf-8")
        seen = visit((tmp_path / "live.html").as_uri())
        seen.page.wait_for_function("window.ready")
        return seen

    return go


def continued(page: Any, writer: Writer, reader: str, tokens: list[int], count: int) -> Any:
    return page.evaluate(GREEDY, [str(writer._esm), writer.weights, reader, tokens, count])


@pytest.mark.parametrize(("reader", "count"), [("States", 200), ("Again", 30)])
def test_the_stored_network_writes_what_python_writes(live: Any, reader: str, count: int) -> None:
    writer = Writer(STORED.read_bytes(), most=1)
    prompt = list(b"class Toeplitz:\n    def ")
    tokens, scores = continued(live(writer).page, writer, reader, prompt, count)
    # In float64 as the page computes: rounding is then too small to turn one token into another.
    model = writer.model.double()
    (written,) = generate(model, [prompt], max_new_tokens=count, temperature=0, length=1)
    assert tokens == prompt + written
    assert len(set(written)) > 5
    decoder = make_decoder(model, length=1)
    expected = decoder(torch.tensor([tokens]))[0]
    torch.testing.assert_close(
        torch.tensor(scores, dtype=torch.float64), expected, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("reader", ["States", "Again"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_scores_are_those_of_python(live: Any, system: str, reader: str) -> None:
    writer = Writer(small_packed(system), most=1)
    tokens = [256, *"é n → ∞".encode()]
    found = continued(live(writer).page, writer, reader, list(tokens), 0)[1]
    with torch.no_grad():
        expected = writer.model.double()(torch.tensor([tokens]))[0, -1]
    torch.testing.assert_close(
        torch.tensor(found, dtype=torch.float64), expected, rtol=1e-9, atol=1e-9
    )


def start(page: Any) -> None:
    """At temperature 0, by keyboard alone."""
    page.get_by_label("Temperature").press("Home")
    page.get_by_label("Prompt").press("Enter")


def wait(page: Any) -> None:
    page.wait_for_function(
        "document.querySelector('.tnn-writer [role=status]').textContent !== ''", timeout=60_000
    )


def shown(page: Any) -> str:
    return page.get_by_role("log").evaluate("e => e.textContent")


def dots(page: Any) -> list[int]:
    return [page.locator(f".tnn-writer circle.tnn-c{mode}").count() for mode in (0, 1)]


def test_it_writes_by_keyboard_and_says_how_long_it_took(live: Any) -> None:
    writer = Writer(STORED.read_bytes(), prompt="import ", most=120)
    seen = live(writer)
    assert shown(seen.page) == writer.prompt + writer.sample
    start(seen.page)
    assert seen.page.get_by_role("button").inner_text() == "Stop"
    wait(seen.page)
    expected = write(writer.model.double(), "import ", 120)
    assert shown(seen.page) == "import " + expected
    status = seen.page.locator(".tnn-writer [role=status]").inner_text()
    assert status.startswith("Stopped after 120 characters. states: ")
    assert "everything again: not measured yet" in status
    assert status[:-1].split(". ")[1] in seen.page.locator(".tnn-writer [role=img]").get_attribute(
        "aria-label"
    )
    assert dots(seen.page)[1] == 0
    assert seen.page.get_by_role("button").inner_text() == "Start"
    assert not seen.complaints and not seen.outside()


def test_the_switch_changes_the_cost_and_not_the_text(live: Any) -> None:
    writer = Writer(STORED.read_bytes(), prompt="def ", most=60)
    page = live(writer).page
    switch = page.get_by_label("read everything again for each character")
    start(page)
    for _ in range(3):
        page.wait_for_timeout(200)
        switch.press("Space")
    wait(page)
    assert shown(page) == "def " + write(writer.model.double(), "def ", 60)
    assert dots(page)[1] > 0


def test_escape_and_the_button_stop_it_and_it_starts_anew(live: Any) -> None:
    page = live(Writer(STORED.read_bytes(), most=100_000)).page
    for stop in ("Escape", "Enter"):
        page.get_by_label("Prompt").fill("x = ")
        page.get_by_label("Prompt").press("Enter")
        page.wait_for_function("document.querySelector('.tnn-log').textContent.length > 8")
        page.get_by_label("Prompt").press(stop)
        wait(page)
        text = shown(page)
        assert text.startswith("x = ")
        page.wait_for_timeout(100)
        assert shown(page) == text


def test_an_end_of_document_ends_it(live: Any) -> None:
    prompt = "the end"
    model = unpack(small_packed("reduced"))
    with torch.no_grad():  # its score is now the largest there can be
        model.embedding.weight[256] = model.features(torch.tensor([list(prompt.encode())]))[0, -1]
    seen = live(Writer(small_packed("reduced", model), prompt=prompt, temperature=0, most=50))
    assert shown(seen.page) == prompt  # Python stopped, too
    start(seen.page)
    wait(seen.page)
    assert (
        "The document ended after 0 characters" in seen.page.locator("[role=status]").inner_text()
    )
    assert shown(seen.page) == prompt


# When the text grew, by the page's own clock.
WATCH_GROWTH = """() => {
    const append = CharacterData.prototype.appendData;
    window.grown = [];
    CharacterData.prototype.appendData = function (text) {
        if (text) window.grown.push(performance.now());
        append.call(this, text);
    };
}"""


def test_less_motion_means_fewer_changes_of_the_text(
    tmp_path: Path, chromium: Any, live: Any
) -> None:
    live(Writer(small_packed("reduced"), prompt="a", most=1000))
    context = chromium.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.clock.install()
    page.goto((tmp_path / "live.html").as_uri())
    page.wait_for_function("window.ready", polling=50)
    page.evaluate(WATCH_GROWTH)
    start(page)
    page.clock.run_for(3500)
    grown = page.evaluate("window.grown")
    assert len(grown) >= 3 and len(shown(page)) > 10
    assert all(later - earlier >= 1000 for earlier, later in pairwise(grown))
    context.close()


@pytest.mark.parametrize("width", [1200, 360])
@pytest.mark.parametrize("where", ["intro.html", "4_experiments/generating.html"])
def test_it_lives_in_the_book(site: str, visit: Any, where: str, width: int) -> None:
    seen = visit(f"{site}/{where}", width=width)
    writer = seen.page.locator(".tnn-writer")
    assert writer.count() == 1
    box = writer.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width
    assert writer.evaluate("e => e.scrollWidth - e.clientWidth") <= 0
    before = shown(seen.page)
    start(seen.page)
    seen.page.wait_for_function("document.querySelectorAll('.tnn-writer circle').length > 2")
    seen.page.get_by_label("Prompt").press("Escape")
    wait(seen.page)
    assert shown(seen.page) != before
    assert not seen.complaints and not seen.outside()
