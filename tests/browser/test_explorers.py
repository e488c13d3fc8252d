"""The explorers of the rendered book: alive with no kernel, by keyboard, dark, on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DRAWING = ".tnn-explorer .tnn-panels"
# Contrast (WCAG 2) of each text in an explorer with the page behind it.
CONTRAST = """() => {
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const pixel = (...colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const root = getComputedStyle(document.documentElement);
  const ground = root.getPropertyValue("--pst-color-background");
  return [...document.querySelectorAll(".tnn-explorer :is(label, output, text, p, li, div)")]
    .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((e) => {
      const style = getComputedStyle(e), ink = e.localName === "text" ? style.fill : style.color;
      const [a, b] = [pixel(ground, ink), pixel(ground)].map(light);
      return [e.textContent, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
    });
}"""


def test_every_control_redraws_by_keyboard(
    site: str, explorer_pages: list[str], visit: Any
) -> None:
    for name in explorer_pages:
        seen = visit(f"{site}/{name}")
        explorers = seen.page.locator(".tnn-explorer")
        assert explorers.count() >= 1, f"{name}: no explorer came to life"
        for explorer in explorers.all():
            for control in explorer.locator("input, select").all():
                _moves(explorer, control, name)
        assert not seen.outside() and not seen.complaints, name
        seen.page.context.close()


def _moves(explorer: Any, control: Any, name: str) -> None:
    label = explorer.locator(f"label[for='{control.get_attribute('id')}']").inner_text()
    drawing = explorer.locator(".tnn-panels")
    before = drawing.inner_html()
    control.focus()
    for keys in (("Home", "ArrowDown"), ("End", "ArrowUp")):
        for key in keys:
            control.press(key)
        if drawing.inner_html() != before:
            return
    raise AssertionError(f"{name}: moving {label!r} by keyboard changed no drawing")


def test_a_slider_says_its_value_and_what_is_drawn(
    site: str, explorer_pages: list[str], visit: Any
) -> None:
    page = visit(f"{site}/{explorer_pages[0]}").page
    slider = page.locator(".tnn-explorer input[type=range]").first
    slider.focus()
    slider.press("End")
    value = slider.get_attribute("aria-valuetext")
    assert value and value == page.locator(".tnn-explorer output").first.inner_text()
    status = page.locator(".tnn-explorer [role=status]").first
    page.wait_for_function("e => e.textContent !== ''", arg=status.element_handle())
    assert page.locator(".tnn-panel-title").first.inner_text() in status.inner_text()


def test_explorers_live_in_a_file_without_a_server(
    book: Path, explorer_pages: list[str], visit: Any
) -> None:
    seen = visit((book / explorer_pages[0]).as_uri())
    seen.page.wait_for_selector(f"{DRAWING} svg")
    assert not seen.outside() and not seen.complaints


def test_dark_mode_by_the_theme_switch_keeps_contrast(
    site: str, explorer_pages: list[str], visit: Any
) -> None:
    page = visit(f"{site}/{explorer_pages[0]}").page
    page.wait_for_selector(f"{DRAWING} svg")
    themes = set()
    for _ in range(3):  # light, dark, automatic
        page.locator(".theme-switch-button").first.click()
        themes.add(page.evaluate("document.documentElement.dataset.theme"))
        low = [(text, ratio) for text, ratio in page.evaluate(CONTRAST) if ratio < 4.5]
        assert not low, themes
    assert themes == {"light", "dark"}


def test_explorers_fit_a_phone(site: str, explorer_pages: list[str], visit: Any) -> None:
    for name in explorer_pages:
        page = visit(f"{site}/{name}", width=360).page
        for explorer in page.locator(".tnn-explorer").all():
            box = explorer.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= 360, name
            inside = explorer.evaluate("e => e.scrollWidth - e.clientWidth")
            assert inside <= 0, f"{name}: the explorer is {inside} px wider than its frame"
        page.context.close()
