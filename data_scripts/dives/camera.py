"""Pictures of a dive: a shaded figure before its scene, filmed by a following camera."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from data_scripts.dives.figure import INDEX
from data_scripts.dives.judges import Appearance, Dive
from data_scripts.dives.motion import CLIP_SECONDS, Motion, move
from data_scripts.dives.scene import ABOVE, LEFT, Splash, cover_with_water, paint_world
from data_scripts.dives.view import Camera, follow, project

# Parts of the figure: joints from and to, their radii in metres, and which colour they take.
PARTS: Final = (
    ("head", (("head", "neck", 0.115, 0.075, "hair"),)),
    ("trunk", (
        ("shoulder_l", "hip_l", 0.085, 0.095, "suit"),
        ("shoulder_r", "hip_r", 0.085, 0.095, "suit"),
        ("neck", "pelvis", 0.12, 0.12, "suit"),
    )),
    *((f"upper_arm_{s}", ((f"shoulder_{s}", f"elbow_{s}", 0.062, 0.05, "skin"),)) for s in "lr"),
    *((f"forearm_{s}", ((f"elbow_{s}", f"hand_{s}", 0.05, 0.042, "skin"),)) for s in "lr"),
    *((f"thigh_{s}", ((f"hip_{s}", f"knee_{s}", 0.098, 0.07, "skin"),)) for s in "lr"),
    *((f"shank_{s}", ((f"knee_{s}", f"ankle_{s}", 0.07, 0.045, "skin"),)) for s in "lr"),
    *((f"foot_{s}", ((f"ankle_{s}", f"toe_{s}", 0.045, 0.032, "skin"),)) for s in "lr"),
)  # fmt: skip
CAPSULES: Final = [
    (number, *capsule) for number, (_, capsules) in enumerate(PARTS) for capsule in capsules
]
OUTLINE: Final = 0.03


def render_dive(dive: Dive, *, frames: int, size: int) -> np.ndarray:
    """Film a whole dive, until the splash has fallen: uint8 [frames, size, size, 3].

    frames  how many moments, evenly spread over the CLIP_SECONDS of the clip
    size    height and width in pixels (even, for video files)
    Raises ValueError when `frames` or `size` is too small to show anything.
    """
    if frames < 2 or size < 16:
        raise ValueError(
            f"a dive needs at least 2 frames of at least 16 pixels, not {frames} of {size}"
        )
    look = dive.appearance
    times = (np.arange(frames) + 0.5) / frames * CLIP_SECONDS
    motion = move(dive, times)
    finer = 3 if size <= 96 else 2  # drawn this much larger and averaged down: soft edges
    width = size * finer
    camera = follow(dive, motion, width)
    world = paint_world(dive, camera.scale)
    outlines, order = _outlines(motion, look, camera, width)
    splash = Splash(dive)
    pictures = np.empty((frames, size, size, 3), np.uint8)
    for number in range(frames):
        x, y = camera.centre[number]
        middle = (x - LEFT) * camera.scale, (dive.height + ABOVE - y) * camera.scale
        corner = round(middle[0] - width / 2), round(middle[1] - width / 2)
        picture = world.crop((*corner, corner[0] + width, corner[1] + width))
        draw = ImageDraw.Draw(picture)
        water = round(width / 2 + y * camera.scale)
        _draw_figure(draw, outlines[number], order[number], look)
        if water < width:
            cover_with_water(picture, world, corner, max(water, 0), width)
            splash.draw(draw, times[number], camera, (x, y), width)
        pictures[number] = np.asarray(picture.resize((size, size), Image.Resampling.BOX))
    pictures = np.clip(np.arange(256) * look.light, 0, 255).astype(np.uint8)[pictures]
    return np.ascontiguousarray(pictures[:, :, ::-1] if look.mirrored else pictures)


def _outlines(
    motion: Motion, look: Appearance, camera: Camera, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Polygons [T, capsules, 3 layers, points, 2] in pixels, and parts [T, parts] by farness."""
    flat, near = project(motion.joints, look.azimuth)
    flat = (flat - camera.centre[:, None, :]) * (camera.scale, -camera.scale) + width / 2
    ends = np.array([[INDEX[a], INDEX[b]] for _, a, b, *_ in CAPSULES])
    radii = np.array([[ra, rb] for *_, ra, rb, _ in CAPSULES]) * camera.scale * look.body * 1.1
    first, second = flat[:, ends[:, 0]], flat[:, ends[:, 1]]
    along = np.arctan2(second[..., 1] - first[..., 1], second[..., 0] - first[..., 0])
    fan = np.linspace(-np.pi / 2, np.pi / 2, 6)
    rims = np.concatenate([along[..., None] + np.pi + fan, along[..., None] + fan], -1)
    directions = np.stack([np.cos(rims), np.sin(rims)], -1)
    middles = np.repeat(np.stack([first, second], -2), 6, axis=-2)
    per_point = np.repeat(radii, 6, axis=1)[None, :, :, None]
    light = np.array([-0.45, -0.55]) * 0.5
    layers = [
        middles + directions * (per_point + OUTLINE * camera.scale),
        middles + directions * per_point,
        middles + light * per_point + directions * 0.45 * per_point,
    ]
    part_of = np.array([number for number, *_ in CAPSULES])
    depth = near[:, ends].mean(-1)
    parts = np.stack([depth[:, part_of == number].mean(1) for number in range(len(PARTS))], -1)
    return np.stack(layers, 2), np.argsort(parts, axis=1)


def _draw_figure(
    draw: ImageDraw.ImageDraw, outlines: np.ndarray, order: np.ndarray, look: Appearance
) -> None:
    """Draw one moment's polygons [capsules, 3 layers, points, 2], the farthest part first."""
    colours = {"skin": look.skin, "suit": look.suit, "hair": look.hair}
    shapes = outlines.reshape(len(CAPSULES), 3, -1).tolist()
    for rank, part in enumerate(order):
        rows = [row for row, capsule in enumerate(CAPSULES) if capsule[0] == part]
        base = colours[CAPSULES[rows[0]][-1]]
        shade = 0.78 + 0.22 * rank / (len(order) - 1)  # farther limbs are darker
        fill = tuple(int(shade * value) for value in base)
        rim = tuple(int(0.30 * value) for value in base)
        bright = tuple(min(255, int(shade * value * 1.08 + 14)) for value in base)
        for layer, colour in enumerate((rim, fill, bright)):
            for row in rows:
                draw.polygon(shapes[row][layer], fill=colour)
