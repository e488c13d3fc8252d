"""How Pathfinder images of a size are drawn."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """Lengths in pixels.

    Attributes:
        size: height and width of the image.
        dash, thickness: of a dash.
        gaps: between the dashes of a contour, one of these for each chunk of images.
        apart: between the beginnings of the two contours.
        radius: of a dot.
        bend: the density of a turn δ is proportional to cos²(bend · δ), up to its first zero.
        contour, distractor: brightness; dots have 1.
        distractors: how many shorter contours are tried; those that find no room are left out.
        dashes, distractor_dashes: of each contour.
        border: kept free of dashes.
    """

    size: int
    dash: float
    thickness: float
    gaps: tuple[float, ...]
    apart: float
    radius: float
    bend: float
    contour: float
    distractor: float
    distractors: int
    dashes: int = 14
    distractor_dashes: int = 4
    border: float = 1


# Lengths as documented for the Long Range Arena's hard splits. The brightness at 32 is that of the
# original's images, where lines are thinner and have a higher contrast.
STYLES = {
    32: Style(32, 2, 0.75, (2,), 7, 1.5, 1.0, 0.85, 1.0, 5),
    64: Style(64, 5, 1.0, (2,), 12, 2.5, 1.8, 0.8, 0.8, 5),
    128: Style(128, 5, 1.5, (4, 6), 20, 3.0, 1.8, 0.9, 0.9, 8),
}
