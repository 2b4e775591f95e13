"""The mouth as it is painted: lips, teeth, tongue and the dark between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .plane import Plane, Range, blur, mix, step


MOUTH_X: Range = (-0.75, 0.75)
MOUTH_Y: Range = (0.72, 1.8)
MOUTH_LINE = 1.12  # where closed lips meet, in units below the eyes
UPPER_TOOTH, LOWER_TOOTH = 0.105, 0.075  # widths, in units


@dataclass(frozen=True)
class MouthLines:
    """The lines of a mouth, in units of the plane, one value for each column of the picture.

    Attributes:
        half (`float`): half width of the mouth.
        drop (`float`): how far the corners are lowered by the jaw.
        across (`np.ndarray`): -1 at the left corner, 1 at the right one; `arch` is 1 in the middle, 0 at the corners.
        inner_up, inner_low (`np.ndarray`): edges of the opening.
        outer_up, outer_low (`np.ndarray`): edges of the lips; `thick_up` and `thick_low` are between.
    """

    half: float
    drop: float
    across: np.ndarray
    arch: np.ndarray
    inner_up: np.ndarray
    inner_low: np.ndarray
    outer_up: np.ndarray
    outer_low: np.ndarray
    thick_up: np.ndarray
    thick_low: np.ndarray


class MouthPainter:
    """Paints the mouth of one speaker.

    Args:
        plane ([`Plane`]): the head's plane; its random numbers give the grain of the lips.
    """

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.window = plane.window(MOUTH_X, MOUTH_Y)
        self.x, self.y = plane.x[self.window], plane.y[self.window]
        grain = blur(plane.rng.normal(size=(1, 400)).astype(np.float32), 1.2)[0]
        self.grain = grain / np.abs(grain).max()
        self._prepare_teeth()

    def _prepare_teeth(self) -> None:
        """What of the teeth and the tongue is the same in all pictures."""
        x, cover = self.x, self.plane.cover
        self.edge_up = MOUTH_LINE + 0.050 - 0.10 * x**2 - 0.010 * np.abs(np.sin(np.pi * x / UPPER_TOOTH))
        self.curve_low, self.teeth_low = 0.06 * x**2, 0.006 * np.abs(np.sin(np.pi * x / LOWER_TOOTH))
        up, low = x / UPPER_TOOTH, x / LOWER_TOOTH + 0.5
        self.gaps_up = 1 - 0.16 * np.exp(-((np.minimum(up % 1, 1 - up % 1) / 0.08) ** 2))
        self.gaps_low = 1 - 0.18 * np.exp(-((np.minimum(low % 1, 1 - low % 1) / 0.1) ** 2))
        self.arch = np.clip(1 - 0.85 * (np.abs(x) / 0.42) ** 2, 0.12, 1)
        self.tongue_x = cover(0.27 - np.abs(x), 6)
        self.teeth_up_x, self.teeth_low_x = cover(0.36 - np.abs(x), 8), cover(0.27 - np.abs(x), 8)

    def paint(self, image: np.ndarray, mouth: np.ndarray) -> None:
        """Paint a mouth over the moved skin.

        Args:
            image (`np.ndarray` of shape `(height, width, 3)`): float32 RGB of the window; changed in place.
            mouth (`np.ndarray` of shape `(8,)`): the `MOUTH_PARAMETERS`.
        """
        x, y, cover = self.x, self.y, self.plane.cover
        lines = self.lines(mouth)
        inside_x = cover(lines.half - np.abs(x), 2)
        lips = cover(y - lines.outer_up, 3.2) * cover(lines.outer_low - y, 4.0) * inside_x
        hole = cover(y - lines.inner_up, 1.6) * cover(lines.inner_low - y, 1.6) * inside_x
        self._shade_skin(image, mouth, lines)
        mix(image, self._lips(mouth, lines), lips * 0.93)
        mix(image, self._inside(mouth, lines), hole)
        # The seam of closed lips.
        seam = (
            np.exp(-(((y - 0.5 * (lines.inner_up + lines.inner_low)) / 0.014) ** 2))
            * (1 - step(lines.inner_low - lines.inner_up, 0.0, 0.04))
            * inside_x
        )
        image *= (1 - 0.55 * seam)[..., None]

    def lines(self, mouth: np.ndarray) -> MouthLines:
        """Where the lips are for some `MOUTH_PARAMETERS`."""
        jaw, opening, spread, rounding, tuck, press = mouth[:6]
        f = self.plane.face
        half = 0.405 * f.mouth * spread
        up = opening * (0.38 + 0.12 * tuck)
        low = opening - up
        upper = 0.105 * f.lips * (1 - 0.3 * press) * (1 + 0.3 * rounding) * (1 - 0.15 * min(opening / 0.3, 1))
        lower = 0.155 * f.lips * (1 - 0.25 * press) * (1 + 0.22 * rounding) * (1 - 0.45 * tuck)
        s = np.clip(self.x[0] / half, -1, 1)
        q = 1 - s**2
        drop = 0.30 * jaw
        line = MOUTH_LINE + 0.018 * s**2 + 0.012 * np.exp(-((s / 0.2) ** 2)) + drop
        inner_up = line - (up + drop) * q ** (0.85 - 0.35 * np.clip(rounding, 0, 1))
        inner_low = line + (low - drop) * q ** (0.75 - 0.25 * np.clip(rounding, 0, 1))
        inner_low = np.maximum(inner_low, inner_up)
        bow = (
            1
            - 0.20 * (1 - 0.5 * rounding) * np.exp(-((s / 0.13) ** 2))
            + 0.08 * np.exp(-(((np.abs(s) - 0.3) / 0.15) ** 2))
        )
        thick_up = upper * (1 - np.abs(s) ** 2.2) ** 0.85 * bow + 1e-4
        thick_low = lower * q**0.7 + 1e-4
        outer_up, outer_low = inner_up - thick_up, inner_low + thick_low
        return MouthLines(half, drop, s, q, inner_up, inner_low, outer_up, outer_low, thick_up, thick_low)

    def _shade_skin(self, image: np.ndarray, mouth: np.ndarray, lines: MouthLines) -> None:
        """Darken the skin around: the shadow under the lower lip, dimples at the corners, a ring about pursed lips."""
        x, y, half = self.x, self.y, lines.half
        rounding, tuck = mouth[3:5]
        below = 0.20 * np.exp(-(((y - lines.outer_low - 0.07) / 0.06) ** 2)) * (lines.arch**0.6) * (1 - 0.4 * tuck)
        corners = 0.30 * np.exp(
            -(((np.abs(x) - half - 0.005) / 0.045) ** 2) - ((y - MOUTH_LINE - lines.drop - 0.01) / 0.045) ** 2
        )
        ring = (
            0.10
            * rounding
            * np.exp(-((((np.hypot(x / (half + 0.12), (y - MOUTH_LINE - 0.02) / 0.34)) - 1) / 0.2) ** 2))
        )
        image *= (1 - np.clip(below + corners + ring, 0, 0.6))[..., None] ** np.array([0.8, 1.05, 1.1], np.float32)

    def _lips(self, mouth: np.ndarray, lines: MouthLines) -> np.ndarray:
        """Colour of the lips: two cylinders under the lamp."""
        y, s, light = self.y, lines.across, self.plane.light
        tuck = mouth[4]
        v_up, v_low = (y - lines.outer_up) / lines.thick_up, (y - lines.inner_low) / lines.thick_low
        grain = 0.05 * np.interp((s + 1) * 199, np.arange(400), self.grain)
        side = 0.10 * light[0] * s
        shade_up = 0.86 - 0.20 * step(v_up, 0.2, 1.0) + 0.10 * (1 - step(v_up, 0.0, 0.35))
        shade_low = (
            0.98
            + 0.16 * np.exp(-(((v_low - 0.38) / 0.3) ** 2))
            - 0.30 * step(v_low, 0.55, 1.1)
            - 0.3 * (1 - step(v_low, -0.15, 0.16))
        )
        is_low = y > 0.5 * (lines.inner_up + lines.inner_low)
        shade = np.where(is_low, shade_low, shade_up) * (1 + grain) + side
        rose = np.asarray(self.plane.face.lip, np.float32) * shade[..., None]
        gloss = (
            np.exp(-(((v_low - 0.36) / 0.14) ** 2) - ((s - 0.25 * light[0]) / 0.38) ** 2) * is_low * (1 - 0.7 * tuck)
        )
        rose += (26 * gloss * (1 + 0.6 * grain / 0.05))[..., None]
        return rose

    def _inside(self, mouth: np.ndarray, lines: MouthLines) -> np.ndarray:
        """What is behind the lips: the upper teeth stay with the skull, lower teeth and tongue go with the jaw."""
        x, y = self.x, self.y
        edge_low = MOUTH_LINE + 0.062 + mouth[0] + self.curve_low + self.teeth_low
        dark = (
            np.array([46, 15, 15], np.float32) * (0.55 + 0.45 * np.clip((y - lines.inner_up) / 0.25, 0, 1))[..., None]
        )
        inside = dark * np.ones((*x.shape, 3), np.float32)
        self._paint_tongue(inside, mouth[6], edge_low)
        self._paint_teeth(inside, mouth[3], edge_low, lines)
        if mouth[7] > 0.05:
            self._paint_tip(inside, mouth[7])
        return inside

    def _paint_tongue(self, inside: np.ndarray, raised: float, edge_low: np.ndarray) -> None:
        """Paint the tongue, on the mouth's floor (`raised` 0) up to behind the upper teeth (1)."""
        x, y, cover = self.x, self.y, self.plane.cover
        edge = edge_low - 0.06 + 0.35 * x**2
        edge = edge + (self.edge_up + 0.012 + 0.9 * x**2 - edge) * min(raised, 1)
        flesh = np.array([170, 82, 80], np.float32) * (0.55 + 0.4 * np.clip((y - edge) / 0.08, 0, 1))[..., None]
        mix(inside, flesh * self.arch[..., None], cover(y - edge, 3) * self.tongue_x)

    def _paint_teeth(self, inside: np.ndarray, rounding: float, edge_low: np.ndarray, lines: MouthLines) -> None:
        """Paint both rows of teeth, darker behind rounded lips and in the shadow of the upper one."""
        y, cover = self.y, self.plane.cover
        lip_shadow = 1 - 0.45 * np.exp(-np.clip(y - lines.inner_up, 0, None) / 0.035)
        ivory = np.array([232, 222, 206], np.float32)
        recess = 1 - 0.72 * np.clip(rounding, 0, 1)
        mix(
            inside,
            ivory * (0.74 * recess * self.arch * lip_shadow * self.gaps_low)[..., None],
            cover(y - edge_low, 2) * self.teeth_low_x,
        )
        mix(
            inside,
            ivory * (0.90 * recess * self.arch * lip_shadow * self.gaps_up)[..., None],
            cover(self.edge_up - y, 2) * self.teeth_up_x,
        )

    def _paint_tip(self, inside: np.ndarray, out: float) -> None:
        """Paint the tip of the tongue between the teeth."""
        x, y, cover = self.x, self.y, self.plane.cover
        tip = self.edge_up + 0.006 + 0.7 * x**2
        flesh = (
            np.array([196, 104, 100], np.float32) * (0.8 + 0.25 * np.exp(-(((y - tip - 0.05) / 0.04) ** 2)))[..., None]
        )
        mix(inside, flesh, out * cover(y - tip, 3) * cover(0.2 - np.abs(x), 8))


__all__ = ["MOUTH_LINE", "MouthLines", "MouthPainter"]
