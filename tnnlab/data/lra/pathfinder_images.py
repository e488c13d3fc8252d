"""Pathfinder images, drawn from the geometry in `pathfinder_contours`."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from tnnlab.data.lra.pathfinder_contours import CHUNK, MARGIN, NOWHERE, lay_out
from tnnlab.data.lra.pathfinder_style import STYLES, Style


def generate_pathfinder(count: int, *, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images, and whether both dots of an image lie on the ends of one contour.

    Two long contours, some shorter ones, and two dots: one where a long contour begins, one where
    the same (label 1) or the other (label 0) ends. Without its dots an image says nothing about its
    label.

    Args:
        count: how many; the first ones are the same for every count. Of each 100 in order, half
            have label 1.
        size: 32, 64 or 128.
        seed: of the random numbers.

    Returns:
        images uint8 of ``(count, size, size)``, labels uint8 of ``(count,)``.

    Raises:
        ValueError: another size.

    >>> images, labels = generate_pathfinder(4, size=32, seed=0)
    >>> images.shape, labels.shape
    ((4, 32, 32), (4,))
    """
    if size not in STYLES:
        raise ValueError(f"Pathfinder is drawn in sizes {', '.join(map(str, STYLES))}; got {size}")
    images = np.empty((count, size, size), np.uint8)
    labels = np.empty(count, np.uint8)
    starts = range(0, count, CHUNK)
    with ThreadPoolExecutor() as pool:  # numpy's loops run outside the interpreter's lock
        chunks = pool.map(partial(_chunk, STYLES[size], seed), range(len(starts)))
        for start, (drawn, answers) in zip(starts, chunks, strict=True):
            images[start : start + CHUNK] = drawn[: count - start]
            labels[start : start + CHUNK] = answers[: count - start]
    return images, labels


def _chunk(style: Style, seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, style.size, number])
    contours, others, _ = lay_out(style, rng)
    labels = rng.permutation(np.arange(CHUNK) % 2)
    begins = rng.integers(0, 2, CHUNK)  # which contour has the first dot
    ends = np.where(labels == 1, begins, 1 - begins)
    every = np.arange(CHUNK)
    canvas = np.zeros((CHUNK, style.size + 2 * MARGIN, style.size + 2 * MARGIN))
    for dash in np.moveaxis(others, 1, 0):
        _paint(canvas, dash, style.thickness / 2, style.distractor)
    for dash in np.moveaxis(contours.reshape(CHUNK, -1, 2, 2), 1, 0):
        _paint(canvas, dash, style.thickness / 2, style.contour)
    for dot in contours[every, begins, 0, 0], contours[every, ends, -1, 1]:
        _paint(canvas, np.stack([dot, dot], 1), style.radius, 1.0)
    inner = slice(MARGIN, MARGIN + style.size)
    return np.rint(255 * canvas[:, inner, inner]).astype(np.uint8), labels.astype(np.uint8)


def _paint(canvas: np.ndarray, dash: np.ndarray, half: float, brightness: float) -> None:
    """Brighten the pixels within ``half`` of one dash of each image; its edge is one pixel soft."""
    rows = np.flatnonzero(dash[:, 0, 0] != NOWHERE)
    start, stop = dash[rows, None, None, 0] + MARGIN, dash[rows, None, None, 1] + MARGIN
    along = stop - start
    reach = int(np.ceil(half + 1 + np.abs(along).max(initial=0) / 2))
    steps = np.arange(-reach, reach + 1)
    places = np.rint((start + stop) / 2) + np.stack(np.meshgrid(steps, steps, indexing="ij"), -1)
    length = np.maximum((along**2).sum(-1), 1e-12)  # of a dot: 0
    share = np.clip(((places - start) * along).sum(-1) / length, 0, 1)
    distance = np.sqrt(((places - start - share[..., None] * along) ** 2).sum(-1))
    level = brightness * np.clip(half + 0.5 - distance, 0, 1)
    pixels = rows[:, None, None], places[..., 0].astype(int), places[..., 1].astype(int)
    canvas[pixels] = np.maximum(canvas[pixels], level)
