"""How much a mouth moves, apart from the head: least in a photograph, most in somebody who speaks."""

from __future__ import annotations

import cv2
import numpy as np


SPAN_SECONDS = 0.08  # between the pictures that are compared
MOST_MOVED = 5  # comparisons that count: a short word in a long recording moves the mouth in so many
BLUR = 1 / 48  # of the width of a region: noise of cameras is finer
MARGIN = 2  # pixels at the edges, where gradients see nothing


def mouth_movement(regions: np.ndarray, frame_rate: float = 25.0) -> float | None:
    """
    How much a mouth moves. Each region is compared with the one 0.08 s later. What a shift, a turn, another size,
    light or contrast explains, by the gradients of the picture (Lucas and Kanade 1981), is of the head and the camera;
    the rest in the middle of the region is of the lips. It is measured in standard deviations of the gray levels.

    Args:
        regions (`np.ndarray` of shape `(frames, height, width)`, uint8): mouth regions, as `extract` gives them.
        frame_rate (`float`, *optional*, defaults to 25.0): of these, in frames/s.

    Returns:
        `float`, *optional*: the fifth largest of the comparisons; `None` where there are not so many.
    """
    step, pictures = max(round(SPAN_SECONDS * frame_rate), 1), []
    for region in regions:
        picture = cv2.GaussianBlur(region.astype(np.float32), (0, 0), BLUR * region.shape[1])
        pictures.append((picture - picture.mean()) / max(float(picture.std()), 1e-6))
    moved = [_unexplained(before, after) for before, after in zip(pictures, pictures[step:], strict=False)]
    return float(np.sort(moved)[-MOST_MOVED]) if len(moved) >= MOST_MOVED else None


def _unexplained(before: np.ndarray, after: np.ndarray) -> float:
    """Root mean square, in the middle, of what differs and no movement of the whole picture explains."""
    height, width = before.shape
    mean = (before + after) / 2
    down, right = np.gradient(mean)
    y, x = np.mgrid[:height, :width] / height - np.array([0.5, 0.5 * width / height])[:, None, None]
    causes = np.stack([right, down, x * right + y * down, x * down - y * right, np.ones_like(mean), mean], -1)
    inner = slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN)
    matrix, difference = causes[inner].reshape(-1, 6), (after - before)[inner]
    shares, *_ = np.linalg.lstsq(matrix.T @ matrix, matrix.T @ difference.ravel(), rcond=1e-9)
    rest = difference - (matrix @ shares).reshape(difference.shape)
    top, left = height // 4 - MARGIN, 5 * width // 18 - MARGIN
    return float(np.sqrt(np.square(rest[top:-top, left:-left]).mean()))


__all__ = ["mouth_movement"]
