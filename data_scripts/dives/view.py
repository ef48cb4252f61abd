"""The camera that follows a dive, and what it sees of a point of the world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_scripts.dives.judges import Dive
from data_scripts.dives.motion import CLIP_SECONDS, Motion, plan


@dataclass(frozen=True)
class Camera:
    """Where the camera looks: centre [T, 2] in metres across and up, and pixels a metre."""

    centre: np.ndarray
    scale: float


def project(points: np.ndarray, azimuth: float) -> tuple[np.ndarray, np.ndarray]:
    """World points [..., 3] as a camera sees them: across and up [..., 2], nearness [...]; metres.

    At azimuth 0 the camera looks at the board's side; it then moves round towards the water.
    """
    cos, sin = np.cos(azimuth), np.sin(azimuth)
    across = cos * points[..., 0] - sin * points[..., 2]
    return np.stack([across, points[..., 1]], -1), sin * points[..., 0] + cos * points[..., 2]


def follow(dive: Dive, motion: Motion, width: int) -> Camera:
    """The camera's path, a little shaking: down with the diver to just above the water.

    It follows outwards less than half-way, so that the distance from the board shows.
    """
    look = dive.appearance
    seen, _ = project(motion.centre, look.azimuth)
    course = plan(dive)
    rng = np.random.default_rng(look.texture_seed)
    knots = np.linspace(0, CLIP_SECONDS, 12)
    shake = np.stack(
        [np.interp(motion.times, knots, look.shake * rng.standard_normal(12)) for _ in range(2)], -1
    )
    lowest = 1.05
    up = seen[:, 1] - 0.1
    up = lowest + np.logaddexp(0, 3 * (up - lowest)) / 3  # comes to rest smoothly above the water
    up = np.where(motion.times < course.entry, up, np.minimum(up, lowest + 0.3))
    across = 0.5 + 0.4 * (seen[:, 0] - 0.2)
    return Camera(np.stack([across, up], -1) + shake, width / look.view)
