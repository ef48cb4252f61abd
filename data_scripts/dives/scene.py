"""What stands around a dive: wall and spectators, the board, the water and its splash."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from data_scripts.dives.figure import INDEX
from data_scripts.dives.judges import Dive
from data_scripts.dives.motion import GRAVITY, move, plan
from data_scripts.dives.view import Camera, project

# the painted world, metres; ABOVE counts from the board
LEFT, RIGHT, BOTTOM, ABOVE = -1.6, 3.6, -1.0, 4.3


def paint_world(dive: Dive, scale: float) -> Image.Image:
    """The still background at `scale` pixels a metre: wall or sky, tower or springboard, pool."""
    look = dive.appearance
    rng = np.random.default_rng([look.texture_seed, 1])
    top = dive.height + ABOVE
    width, height = round((RIGHT - LEFT) * scale), round((top - BOTTOM) * scale)
    across = (LEFT + (np.arange(width) + 0.5) / scale).astype(np.float32)
    up = (top - (np.arange(height) + 0.5) / scale).astype(np.float32)
    fade = rng.uniform(-0.25, 0.25) * (up - up.mean()) / np.ptp(up)
    wall = np.ones((1, width, 1), np.float32) * (0.95 + fade[:, None, None])
    wall = wall * np.array(look.wall, np.float32)
    spacing, phase = rng.uniform(0.7, 1.8, 2), rng.uniform(0, 1, 2)
    joints = rng.uniform(0.02, 0.07, 2)
    wall[:, (across / spacing[0] + phase[0]) % 1 < joints[0]] *= 0.87
    wall[(up / spacing[1] + phase[1]) % 1 < joints[1]] *= 0.87
    _blotch(wall, rng, scale, top)
    below = up[up < 0][:, None]
    ripple = 1 + 0.07 * np.sin(below * 23 + 1.2 * np.sin(across * 3 + phase[0] * 6) + phase[1] * 6)
    deeper = ripple * (1.05 + 0.4 * np.maximum(below / 1.2, -1))
    wall[up < 0] = deeper[..., None] * np.array(look.water)
    image = Image.fromarray(np.clip(wall, 0, 255).astype(np.uint8))
    _draw_board(ImageDraw.Draw(image), dive, scale, top)
    return image


def _blotch(wall: np.ndarray, rng: np.random.Generator, scale: float, top: float) -> None:
    """Spectators, windows, banners: soft blotches that move past as the camera falls."""
    for _ in range(rng.integers(8, 24)):
        x, y = rng.uniform(LEFT, RIGHT), rng.uniform(0.2, top)
        w, h = rng.uniform(0.15, 1.0), rng.uniform(0.1, 0.6)
        rows = slice(max(round((top - y - h) * scale), 0), round((top - y) * scale))
        columns = slice(max(round((x - LEFT) * scale), 0), round((x + w - LEFT) * scale))
        wall[rows, columns] = 0.75 * wall[rows, columns] + 0.25 * rng.integers(40, 230, 3)


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

    def side(x: float, low: float, z: float) -> None:
        draw.polygon(pixels((x, h, z), (x, low, z), (back, low, z), (back, h, z)), fill=dark)

    def end(x: float, low: float, near: float, far: float) -> None:
        draw.polygon(pixels((x, h, near), (x, low, near), (x, low, far), (x, h, far)), fill=light)

    side(tower, 0, 0.5)
    end(tower, 0, 0.5, -0.3)
    rung = max(1, round(0.06 * scale))
    for level in np.arange(0.0, h, 1.0):  # a rung every metre shows the height
        draw.line(pixels((tower, level, 0.5), (tower, level, -0.3)), fill=dark, width=rung)
    side(0, h - thick, half)
    end(0, h - thick, half, -half)


def cover_with_water(
    picture: Image.Image, world: Image.Image, corner: tuple[int, int], water: int, width: int
) -> None:
    """Lay the pool over whatever has dived below the waterline, leaving a faint shape."""
    box = (0, water, width, width)
    pool = world.crop((corner[0], corner[1] + water, corner[0] + width, corner[1] + width))
    picture.paste(Image.blend(picture.crop(box), pool, 0.8), box)


class Splash:
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
        joints = move(dive, np.array([course.entry])).joints[0]
        entry_point = joints[[INDEX["hand_l"], INDEX["hand_r"]]].mean(0)
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
            shape = ((-1, 1), (-0.3, 0.8), (0.2, 1.1), (0.9, 0.85))
            column = [(x0 + x * tip, y0 - y * reach) for x, y in shape]
            column = [(x0 - foot, y0), *column, (x0 + foot, y0)]
            draw.polygon(column, fill=(235, 243, 248))
        flying = (age > 0).nonzero()[0]
        path = self.velocity[flying] * age[flying, None] - (0, GRAVITY / 2) * age[flying, None] ** 2
        across = x0 + (path[:, 0] + self.spread[flying]) * camera.scale
        up = y0 - path[:, 1] * camera.scale
        radii = self.radius[flying] * camera.scale
        for x, y, r, grey in zip(across, up, radii, self.grey[flying], strict=True):
            if y < y0:
                draw.ellipse((x - r, y - r, x + r, y + r), fill=(int(grey),) * 3)


def splash_size(dive: Dive) -> float:
    """0..1: a clean entry rips the water; the diver's own fault and a slanted body throw it up."""
    faults = dive.faults
    if faults["failed"]:
        return 1.0
    return float(0.05 + 0.95 * (1 - (1 - 0.85 * faults["splash"]) * (1 - 0.4 * faults["rotation"])))
