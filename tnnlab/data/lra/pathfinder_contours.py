"""Pathfinder's geometry: two dashed contours that cross nothing, and shorter ones between them.

After Linsley et al., "Learning long-range spatial dependencies with horizontal gated recurrent
units", 2018, but written afresh: dashes have real coordinates here, and contours keep room to turn
before the border, where the original often gives up and begins again.

Dashes of different contours are no nearer than the gaps within one (on a grid of half pixels), and
a long contour keeps the same distance from its own earlier dashes, but for the one it continues.

Many images are laid out at once. A point is (row, column) in pixels, a dash its two end points.
"""

from itertools import product

import numpy as np

from tnnlab.data.lra.pathfinder_style import Style

CHUNK = 100  # images laid out at once; part of what a seed means
NOWHERE = 1e4  # coordinates of dashes that do not exist
MARGIN = 10  # pixels around an image, so that nothing is written outside of an array
_PAIRS = 200  # pairs of contours begun at once
_DIRECTIONS = 12  # of which the next dash takes one that fits
_TRIALS = 3  # places tried for each distractor
_CELLS = 2  # of the grid that keeps dashes apart, in a pixel


def lay_out(style: Style, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Where the dashes of `CHUNK` images lie.

    Returns:
        contours ``(CHUNK, 2, dashes, 2, 2)``; the dashes of distractors, ``(CHUNK, k, 2, 2)``, with
        coordinates of 1e4 where there was no room; the gap between dashes.
    """
    board = _Board(style, float(rng.choice(style.gaps)), rng)
    contours, taken = board.two_contours()
    while len(taken) < CHUNK:
        more = board.two_contours()
        contours, taken = (np.concatenate(x) for x in zip((contours, taken), more, strict=True))
    contours, board.taken = contours[:CHUNK], taken[:CHUNK]
    others = np.full((CHUNK, style.distractors, style.distractor_dashes, 2, 2), NOWHERE)
    for number, _ in product(range(style.distractors), range(_TRIALS)):
        made, rows = board.distractor(np.flatnonzero(others[:, number, 0, 0, 0] == NOWHERE))
        others[rows, number] = made
    return contours, others.reshape(CHUNK, -1, 2, 2), board.gap


class _Board:
    """A grid for each of many images, ``taken`` where no other dash may come."""

    def __init__(self, style: Style, gap: float, rng: np.random.Generator) -> None:
        self.style, self.gap, self.rng = style, gap, rng
        self.taken = np.empty(0, bool)

    def two_contours(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs that grow by turns, ``(pairs, 2, dashes, 2, 2)``, and what they take."""
        style, rows, margin = self.style, np.arange(_PAIRS), 2 * self.style.apart
        side = _CELLS * (style.size + 2 * MARGIN)
        self.taken = np.zeros((_PAIRS, side, side), bool)
        first = self.rng.uniform(margin, style.size - 1 - margin, (_PAIRS, 2))
        second = first + style.apart * _direction(self.rng.uniform(0, 2 * np.pi, _PAIRS))
        angles = self.rng.uniform(0, 2 * np.pi, (_PAIRS, 2))
        joints = np.stack([first, second], 1) - self.gap / 2 * _direction(angles)
        contours = np.full((_PAIRS, 2, style.dashes, 2, 2), NOWHERE)
        for place, which in product(range(style.dashes), (0, 1)):
            other = contours[rows, 1 - which, place - 1 + which]  # its last dash, not yet taken
            dash, joint, angle, fits = self._next_dash(
                rows, joints[rows, which], angles[rows, which], other, turns=place > 0
            )
            rows = rows[fits]  # the others are given up
            contours[rows, which, place] = dash[fits]
            joints[rows, which], angles[rows, which] = joint[fits], angle[fits]
            if place:  # the next dash may bend towards the one it continues, and no other
                self._take(rows, contours[rows, which, place - 1])
        for which in (0, 1):
            self._take(rows, contours[rows, which, -1])
        return contours[rows], self.taken[rows]

    def distractor(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A shorter contour anywhere: those that fit, ``(whole, dashes, 2, 2)``, and their rows."""
        style = self.style
        joints = self.rng.uniform(0, style.size - 1, (len(rows), 2))
        angles = self.rng.uniform(0, 2 * np.pi, len(rows))
        made = np.empty((len(rows), style.distractor_dashes, 2, 2))
        for place in range(style.distractor_dashes):
            nowhere = np.full((len(rows), 2, 2), NOWHERE)
            made[:, place], joints, angles, fits = self._next_dash(
                rows, joints, angles, nowhere, turns=place > 0
            )
            made, rows, joints, angles = made[fits], rows[fits], joints[fits], angles[fits]
        for dash in np.moveaxis(made, 1, 0):
            self._take(rows, dash)
        return made, rows

    def _next_dash(
        self,
        rows: np.ndarray,
        joints: np.ndarray,
        angles: np.ndarray,
        other: np.ndarray,
        *,
        turns: bool,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Continue contours from the middle of a gap, in a direction drawn from those that fit.

        Returns:
            the dashes, ``(rows, 2, 2)``; the next joints and angles; and in which rows one fits.
        """
        tries, every = _DIRECTIONS if turns else 1, np.arange(len(rows))
        share = (np.arange(tries) + self.rng.random((len(rows), 1))) / tries
        turn = np.pi * (share - 0.5) * turns
        turned = angles[:, None] + turn / self.style.bend
        ahead = _direction(turned)
        begin = joints[:, None] + self.gap / 2 * ahead
        dash = np.stack([begin, begin + self.style.dash * ahead], 2)
        fits = self._is_inside(dash).all(2) & self._has_room(dash[:, :, 1], turned)
        inside = np.nonzero(fits)[0]
        fits[fits] = ~self._is_taken(rows[inside], dash[fits], other[inside])
        density = np.cumsum(fits * np.cos(turn) ** 2, 1)
        drawn = (density > self.rng.random((len(rows), 1)) * density[:, -1:]).argmax(1)
        dash, angles = dash[every, drawn], turned[every, drawn]
        return dash, dash[:, 1] + self.gap / 2 * _direction(angles), angles, np.any(fits, axis=1)

    def _is_inside(self, points: np.ndarray, room: float = 0) -> np.ndarray:
        """Whether points are ``room`` or more away from the border."""
        low, high = self.style.border + room, self.style.size - 1 - self.style.border - room
        return np.all((low <= points) & (points <= high), axis=-1)

    def _has_room(self, ends: np.ndarray, angles: np.ndarray) -> np.ndarray:
        """Whether the tightest turn to one side or the other stays inside, all the way round."""
        radius = (self.style.dash + self.gap) / (2 * np.sin(np.pi / (4 * self.style.bend)))
        left = radius * _direction(angles + np.pi / 2)
        return self._is_inside(ends + left, radius) | self._is_inside(ends - left, radius)

    def _is_taken(self, rows: np.ndarray, dash: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Whether dashes touch what is taken in their rows, or are too near to one more dash."""
        cells = self._cells(dash)
        taken = self.taken[rows[:, None], cells[..., 0], cells[..., 1]]
        squares = ((cells[:, :, None] - self._cells(other)[:, None]) ** 2).sum(-1)
        return np.any(taken, axis=1) | np.any(squares <= (_CELLS * self.gap) ** 2, axis=(1, 2))

    def _cells(self, dash: np.ndarray) -> np.ndarray:
        """The cells of points along dashes, a pixel apart: ``(rows, points, 2)``."""
        share = np.linspace(0, 1, 1 + int(np.ceil(self.style.dash)))[:, None]
        points = dash[:, None, 0] * (1 - share) + dash[:, None, 1] * share
        return np.rint(_CELLS * (points + MARGIN)).astype(np.int32)

    def _take(self, rows: np.ndarray, dash: np.ndarray) -> None:
        """Take what is nearer than the gap to one dash in each of the rows."""
        reach = int(_CELLS * self.gap)
        steps = np.arange(-reach, reach + 1)
        disc = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
        cells = self._cells(dash)[:, :, None] + disc[(disc**2).sum(1) <= reach**2]
        self.taken[rows[:, None, None], cells[..., 0], cells[..., 1]] = True


def _direction(angles: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(angles), np.cos(angles)], -1)
