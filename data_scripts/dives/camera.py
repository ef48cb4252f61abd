"""Pictures of a dive: a shaded figure, the board, the water and its splash, filmed by a following
camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from data_scripts.dives.figure import INDEX
from data_scripts.dives.judges import Appearance, Dive
from data_scripts.dives.motion import CLIP_SECONDS, GRAVITY, Motion, move, plan

# Parts of the figure: joints from and to, their radii in metres, and which colour they take.
PARTS: Final = (
    ("head", (("head", "neck", 0.115, 0.075, "hair"),)),
    ("trunk", (
        ("shoulder_l", "hip_l", 0.085, 0.095, "suit"), ("shoulder_r", "hip_r", 0.085, 0.095, "suit"),
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
LEFT, RIGHT, BOTTOM, ABOVE = (
    -1.6,
    3.6,
    -1.0,
    4.3,
)  # the painted world, metres; ABOVE counts from the board


@dataclass(frozen=True)
class Camera:
    """Where the camera looks: centre [T, 2] of the picture in metres across and up, and pixels a
    metre."""

    centre: np.ndarray
    scale: float


def render_dive(dive: Dive, *, frames: int, size: int) -> np.ndarray:
    """Film a whole dive, from the stand on the board until the splash falls: uint8 [frames, size,
    size, 3].

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
    world = _paint_world(dive, camera.scale)
    outlines, order = _outlines(motion, look, camera, width)
    splash = _Splash(dive)
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
            _cover_with_water(picture, world, corner, max(water, 0), width)
            splash.draw(draw, times[number], camera, (x, y), width)
        pictures[number] = np.asarray(picture.resize((size, size), Image.Resampling.BOX))
    pictures = np.clip(np.arange(256) * look.light, 0, 255).astype(np.uint8)[pictures]
    return np.ascontiguousarray(pictures[:, :, ::-1] if look.mirrored else pictures)


def project(points: np.ndarray, azimuth: float) -> tuple[np.ndarray, np.ndarray]:
    """World points [..., 3] -> (across and up [..., 2] in metres, nearness [...]) for a camera
    turned by azimuth.

    At azimuth 0 the camera looks at the board's side; it then moves round towards the water.
    """
    cos, sin = np.cos(azimuth), np.sin(azimuth)
    across = cos * points[..., 0] - sin * points[..., 2]
    return np.stack([across, points[..., 1]], -1), sin * points[..., 0] + cos * points[..., 2]


def follow(dive: Dive, motion: Motion, width: int) -> Camera:
    """The camera's path: down with the diver to just above the water, less than half-way out,
    shaking a little.

    It follows outwards only in part, so that the distance from the board shows.
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


def _paint_world(dive: Dive, scale: float) -> Image.Image:
    """The still background at `scale` pixels a metre: wall or sky, tower or springboard, pool."""
    look = dive.appearance
    rng = np.random.default_rng([look.texture_seed, 1])
    top = dive.height + ABOVE
    width, height = round((RIGHT - LEFT) * scale), round((top - BOTTOM) * scale)
    across = (LEFT + (np.arange(width) + 0.5) / scale).astype(np.float32)
    up = (top - (np.arange(height) + 0.5) / scale).astype(np.float32)
    fade = rng.uniform(-0.25, 0.25) * (up - up.mean()) / np.ptp(up)
    wall = (
        np.ones((1, width, 1), np.float32)
        * (0.95 + fade[:, None, None])
        * np.array(look.wall, np.float32)
    )
    spacing, phase = rng.uniform(0.7, 1.8, 2), rng.uniform(0, 1, 2)
    joints = rng.uniform(0.02, 0.07, 2)
    wall[:, (across / spacing[0] + phase[0]) % 1 < joints[0]] *= 0.87
    wall[(up / spacing[1] + phase[1]) % 1 < joints[1]] *= 0.87
    # Spectators, windows, banners: soft blotches that move past as the camera falls.
    for _ in range(rng.integers(8, 24)):
        x, y, w, h = (
            rng.uniform(LEFT, RIGHT),
            rng.uniform(0.2, top),
            rng.uniform(0.15, 1.0),
            rng.uniform(0.1, 0.6),
        )
        rows = slice(max(round((top - y - h) * scale), 0), round((top - y) * scale))
        columns = slice(max(round((x - LEFT) * scale), 0), round((x + w - LEFT) * scale))
        wall[rows, columns] = 0.75 * wall[rows, columns] + 0.25 * rng.integers(40, 230, 3)
    below = up[up < 0][:, None]
    ripple = 1 + 0.07 * np.sin(below * 23 + 1.2 * np.sin(across * 3 + phase[0] * 6) + phase[1] * 6)
    wall[up < 0] = (ripple * (1.05 + 0.4 * np.maximum(below / 1.2, -1)))[..., None] * np.array(
        look.water
    )
    image = Image.fromarray(np.clip(wall, 0, 255).astype(np.uint8))
    _draw_board(ImageDraw.Draw(image), dive, scale, top)
    return image


def _draw_board(draw: ImageDraw.ImageDraw, dive: Dive, scale: float, top: float) -> None:
    """The board's side and end, and the tower that carries it, down to the water."""
    look = dive.appearance
    platform = dive.height > 5
    half, thick = (0.5, 0.24) if platform else (0.26, 0.09)
    back = -6.0
    light, dark = look.tower, tuple(int(0.62 * value) for value in look.tower)

    def pixels(*points: tuple[float, float, float]) -> list[tuple[float, float]]:
        flat, _ = project(np.array(points), look.azimuth)
        return [((x - LEFT) * scale, (top - y) * scale) for x, y in flat]

    h = dive.height
    tower = -0.75 if platform else -1.0
    draw.polygon(
        pixels((tower, h, 0.5), (tower, 0, 0.5), (back, 0, 0.5), (back, h, 0.5)), fill=dark
    )
    draw.polygon(
        pixels((tower, h, 0.5), (tower, 0, 0.5), (tower, 0, -0.3), (tower, h, -0.3)), fill=light
    )
    for level in np.arange(0.0, h, 1.0):  # a rung every metre shows the height
        draw.line(
            pixels((tower, level, 0.5), (tower, level, -0.3)),
            fill=dark,
            width=max(1, round(0.06 * scale)),
        )
    draw.polygon(
        pixels((0, h, half), (0, h - thick, half), (back, h - thick, half), (back, h, half)),
        fill=dark,
    )
    draw.polygon(
        pixels((0, h, half), (0, h - thick, half), (0, h - thick, -half), (0, h, -half)), fill=light
    )


def _outlines(
    motion: Motion, look: Appearance, camera: Camera, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Polygons [T, capsules, 3 layers, points, 2] in pixels, and the parts' order [T, parts],
    farthest first."""
    flat, near = project(motion.joints, look.azimuth)
    flat = (flat - camera.centre[:, None, :]) * (camera.scale, -camera.scale) + width / 2
    ends = np.array([[INDEX[a], INDEX[b]] for _, a, b, *_ in CAPSULES])
    radii = np.array([[ra, rb] for *_, ra, rb, _ in CAPSULES]) * camera.scale * look.body * 1.1
    first, second = flat[:, ends[:, 0]], flat[:, ends[:, 1]]
    along = np.arctan2(second[..., 1] - first[..., 1], second[..., 0] - first[..., 0])
    fan = np.linspace(-np.pi / 2, np.pi / 2, 6)
    rims = np.concatenate([along[..., None] + np.pi + fan, along[..., None] + fan], -1)
    directions = np.stack([np.cos(rims), np.sin(rims)], -1)
    middles = np.concatenate(
        [np.repeat(first[..., None, :], 6, -2), np.repeat(second[..., None, :], 6, -2)], -2
    )
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
        capsules = [
            (shape, capsule)
            for shape, capsule in zip(shapes, CAPSULES, strict=True)
            if capsule[0] == part
        ]
        base = colours[capsules[0][1][-1]]
        shade = 0.78 + 0.22 * rank / (len(order) - 1)  # farther limbs are darker
        fill = tuple(int(shade * value) for value in base)
        rim = tuple(int(0.30 * value) for value in base)
        bright = tuple(min(255, int(shade * value * 1.08 + 14)) for value in base)
        for layer, colour in enumerate((rim, fill, bright)):
            for shape, _ in capsules:
                draw.polygon(shape[layer], fill=colour)


def _cover_with_water(
    picture: Image.Image, world: Image.Image, corner: tuple[int, int], water: int, width: int
) -> None:
    """Lay the pool over whatever has dived below the waterline, leaving a faint shape."""
    box = (0, water, width, width)
    pool = world.crop((corner[0], corner[1] + water, corner[0] + width, corner[1] + width))
    picture.paste(Image.blend(picture.crop(box), pool, 0.8), box)


class _Splash:
    """Drops, a column and foam; all of it grows with the splash's size, 0..1."""

    def __init__(self, dive: Dive) -> None:
        course = plan(dive)
        self.size = splash_size(dive)
        self.entry = course.entry
        rng = np.random.default_rng([dive.appearance.texture_seed, 2])
        count = int(14 + 150 * self.size)
        angle = np.radians(rng.normal(0, 14 + 22 * self.size, count))
        speed = (1.3 + 5.0 * self.size) * rng.uniform(0.35, 1.0, count)
        self.velocity = np.stack([speed * np.sin(angle), speed * np.cos(angle)], -1)
        self.start = rng.uniform(0, 0.12, count)
        self.radius = rng.uniform(0.018, 0.045, count) * (0.7 + 0.9 * self.size)
        entry_point = (
            move(dive, np.array([course.entry]))
            .joints[0, [INDEX["hand_l"], INDEX["hand_r"]]]
            .mean(0)
        )
        self.where = float(project(entry_point, dive.appearance.azimuth)[0][0])
        self.spread = rng.normal(0, 0.05 + 0.22 * self.size, count)
        self.grey = rng.integers(215, 256, count)

    def draw(
        self, draw: ImageDraw.ImageDraw, time: float, camera: Camera, centre: np.ndarray, width: int
    ) -> None:
        age = time - self.entry - self.start
        if time < self.entry:
            return
        since = time - self.entry
        x0 = (self.where - centre[0]) * camera.scale + width / 2
        y0 = width / 2 + centre[1] * camera.scale
        foam = (0.16 + 0.95 * self.size) * min(1.0, 0.35 + since / 0.25) * camera.scale
        flat = 0.16 * foam + 0.02 * camera.scale
        draw.ellipse((x0 - foam, y0 - flat, x0 + foam, y0 + flat), fill=(225, 238, 245))
        rise = self.size * 6.0 * since - GRAVITY * since**2 * 0.9
        if rise > 0:
            reach, foot = rise * 0.62 * camera.scale, (0.10 + 0.5 * self.size) * camera.scale
            tip = 0.55 * foot
            column = [(x0 - foot, y0), (x0 - tip, y0 - reach), (x0 - 0.3 * tip, y0 - 0.8 * reach)]
            column += [
                (x0 + 0.2 * tip, y0 - 1.1 * reach),
                (x0 + 0.9 * tip, y0 - 0.85 * reach),
                (x0 + foot, y0),
            ]
            draw.polygon(column, fill=(235, 243, 248))
        flying = (age > 0).nonzero()[0]
        path = self.velocity[flying] * age[flying, None] - (0, GRAVITY / 2) * age[flying, None] ** 2
        across = x0 + (path[:, 0] + self.spread[flying]) * camera.scale
        up = y0 - path[:, 1] * camera.scale
        for x, y, radius, grey in zip(
            across, up, self.radius[flying] * camera.scale, self.grey[flying], strict=True
        ):
            if y < y0:
                draw.ellipse(
                    (x - radius, y - radius, x + radius, y + radius), fill=(int(grey),) * 3
                )


def splash_size(dive: Dive) -> float:
    """0..1: a clean entry rips the water; the diver's own fault and a slanted body throw it up."""
    faults = dive.faults
    if faults["failed"]:
        return 1.0
    return float(0.05 + 0.95 * (1 - (1 - 0.85 * faults["splash"]) * (1 - 0.4 * faults["rotation"])))
