"""`Writer`: a trained Toeplitz network, as a state space, that generates text in the page.

There is nothing to ask a kernel: the weights travel in the widget's state, and the front end
computes. `python -m tnnlab.widgets.export RUN` makes the network that comes with the package.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tnnlab._extras import require
from tnnlab.convert.model import ConvertedLM
from tnnlab.data import load_tokenizer
from tnnlab.generation import TextStream, stream
from tnnlab.widgets.packed import unpack

if TYPE_CHECKING:
    import anywidget
    import traitlets
else:
    anywidget = require("anywidget", extra="book")
    traitlets = require("traitlets", extra="book")

HERE = Path(__file__).parent
STORED = HERE / "writer.safetensors"
SCRIPT = HERE / "writer.js"
# The explorers' look, under the writer's own name, and its own.
STYLE = "".join(
    (HERE / name).read_text(encoding="utf-8") for name in ("explorer.css", "writer.css")
)
STYLE = STYLE.replace(".tnn-explorer", ".tnn-writer")
SAMPLE, COLUMNS = 240, 64  # bytes, and characters of a line in print
DESCRIPTION = (
    "It was trained on the source of Python's standard library, one byte after the other, and runs "
    "in your browser. Type a beginning and press Start; at temperature 0 it always takes the most "
    "likely byte. Then let it read everything again for each character, and watch the time."
)


class Writer(anywidget.AnyWidget):
    """A field for a prompt, the text that a network continues it with, and the time it takes.

    Args:
        packed: a model, the bytes that `tnnlab.widgets.packed.pack` returns.
        prompt: what stands in the field at first.
        temperature: of the slider at first, in [0, 1.5]; 0: always the most likely token.
        most: characters (bytes) of a continuation.
        title, description, note: text above, and below.

    Attributes:
        model: the network as the page computes it, its weights rounded.

    Raises:
        ValueError: the bytes are no packed model.
    """

    _esm = SCRIPT
    _css = STYLE

    title = traitlets.Unicode().tag(sync=True)
    description = traitlets.Unicode().tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)
    prompt = traitlets.Unicode().tag(sync=True)
    temperature = traitlets.Float(min=0, max=1.5).tag(sync=True)
    most = traitlets.Int(min=1).tag(sync=True)
    sample = traitlets.Unicode().tag(sync=True)
    weights = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        packed: bytes,
        *,
        prompt: str = "def ",
        temperature: float = 0.6,
        most: int = 1000,
        title: str = "A Toeplitz network writes",
        description: str = "",
        note: str = "",
    ) -> None:
        self.model = unpack(packed)
        super().__init__(
            title=title,
            description=description,
            note=note,
            prompt=prompt,
            temperature=temperature,
            most=most,
            sample=write(self.model, prompt, min(SAMPLE, most), temperature),
            weights=base64.b64encode(packed).decode("ascii"),
        )

    @classmethod
    def load(cls, path: Path = STORED, **options: Any) -> Writer:
        """The network that comes with the package, or another one that was exported.

        Args:
            path: of the packed model; its record lies beside it, as ``.json``.
            **options: as of the class.

        Raises:
            FileNotFoundError: there is no such file, or no record.
        """
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        texts = {"description": DESCRIPTION, "note": facts(record)}
        return cls(path.read_bytes(), **{**texts, **options})

    def __repr__(self) -> str:
        return f"Writer({self.prompt!r}, {len(self.weights):,} characters of weights)"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and a text written in advance for readers that cannot run it."""
        shown = super()._repr_mimebundle_(**kwargs)
        if shown is None:
            return None
        data, metadata = shown if isinstance(shown, tuple) else (shown, {})
        return {**data, "image/svg+xml": picture(self.prompt + self.sample)}, metadata


def facts(record: Mapping[str, Any]) -> str:
    """A sentence on the size and the losses of a network, from its record."""
    losses = record["loss_per_token"]
    return (
        f"{record['run']['parameters']:,} parameters, rounded to bytes, and {record['order']} "
        f"states a channel: {record['bytes']['page'] / 1e6:.2f} MB in this page. Loss on held-out "
        f"text: {losses['trained']:.3f} nats a byte as trained, {losses['packed']:.3f} as it is "
        "here."
    )


def page_bytes(packed: bytes) -> int:
    """What a writer adds to a page: the weights as base64, script and style."""
    return 4 * -(-len(packed) // 3) + SCRIPT.stat().st_size + len(STYLE.encode())


def write(model: ConvertedLM, prompt: str, most: int, temperature: float = 0.0) -> str:
    """What a byte-level model continues a prompt with, by its states (seed 0)."""
    tokenizer = load_tokenizer("bytes")
    tokens = tokenizer.encode(prompt).tolist() or [tokenizer.end_of_text]
    text = TextStream(tokenizer)
    drawn = stream(
        model,
        [tokens],
        max_new_tokens=most,
        temperature=temperature,
        length=model.config.length,
        stop_tokens=[tokenizer.end_of_text],
        seed=0,
    )
    parts = [text.feed(token) for (token,) in drawn if token not in (None, tokenizer.end_of_text)]
    return "".join(parts) + text.flush()


def picture(text: str) -> str:
    """A text as an SVG picture, for print: typewriter letters, dark on white."""
    lines = [
        line[start : start + COLUMNS]
        for line in text.split("\n")
        for start in range(0, len(line) or 1, COLUMNS)
    ]
    width, height = 7.3 * COLUMNS + 20, 16 * len(lines) + 16
    rows = "".join(
        f'<text x="10" y="{16 * number + 20}" xml:space="preserve">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" font-family="monospace" font-size="12" fill="#222">'
        f'<rect width="100%" height="100%" fill="#fff"/>{rows}</svg>'
    )
