"""A dive's course: when its parts happen, the diver's pose and place at every moment.

The centre of mass follows a parabola, and the figure (figure.py) turns by its angular momentum.
World axes: x from the board over the water, y up, z towards the side camera; metres, seconds,
radians.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from data_scripts.dives.figure import (
    ANGLES,
    INDEX,
    POSES,
    place_joints,
    point_masses,
    turn_of_trunk,
)
from data_scripts.dives.judges import Dive

GRAVITY: Final = 9.81
CLIP_SECONDS: Final = 2.5
ENTRY_SECONDS: Final = 1.98  # when a clean dive meets the water, but for the appearance's jitter
REACH: Final = 1.15  # from the centre of mass to the fingertips of a stretched body
CLOSING: Final = 0.20
OPENING: Final = 0.24
# Vertical speed at take-off: a platform gives a jump, a springboard a throw.
TAKE_OFF_SPEED: Final = {10.0: 2.4, 3.0: 5.2}


@dataclass(frozen=True)
class Timing:
    """When the parts of a dive happen, seconds of the clip, and where it begins and ends.

    take_off, closed, open_from, open_to, entry  in the order of the dive (a late opening ends in
    the water)
    twist_from, twist_to   when the twist turns (equal for a dive without)
    final_angle, final_twist   trunk's turn about the lateral and the long axis at entry, radians,
                               positive
    speed_up, speed_out    of the centre of mass at take-off, metres a second
    """

    take_off: float
    closed: float
    open_from: float
    open_to: float
    entry: float
    twist_from: float
    twist_to: float
    final_angle: float
    final_twist: float
    speed_up: float
    speed_out: float


@dataclass(frozen=True)
class Motion:
    """A moving diver at T moments.

    joints  [T, 17, 3] world positions in the order of JOINTS, metres
    centre  [T, 3] centre of mass
    angle, twist  [T] the trunk's turn about the lateral and the long axis, radians, positive
                  forwards in the dive's own sense
    spin    [T] angular velocity about the lateral axis, radians a second
    """

    times: np.ndarray
    joints: np.ndarray
    centre: np.ndarray
    angle: np.ndarray
    twist: np.ndarray
    spin: np.ndarray


def fall_time(drop: float, speed_up: float) -> float:
    """Seconds of flight until a body is `drop` metres below where it left.

    The positive root of drop + v t - g t^2 / 2 = 0, v being `speed_up` in metres a second.
    """
    return (speed_up + np.sqrt(speed_up**2 + 2 * GRAVITY * drop)) / GRAVITY


def plan(dive: Dive) -> Timing:
    """The dive's course in time, from free fall, the dive number and the faults."""
    faults, number = dive.faults, dive.parsed
    sense = 1 if dive.over_rotated else -1
    failed, rotation = faults["failed"], faults["rotation"]
    tilt = sense * np.radians(60 + 30 * failed if failed else 50 * rotation)
    speed_up = TAKE_OFF_SPEED[dive.height]
    # A stretched body meets the water with its centre an arm's reach above, a flat one much lower.
    contact = REACH * abs(np.cos(tilt)) + 0.2 * abs(np.sin(tilt))
    flight = fall_time(dive.height + 1.0 - contact, speed_up)
    # Timed for a clean dive, so that the stand on the board tells nothing of what follows.
    clean = fall_time(dive.height + 1.0 - REACH, speed_up)
    take_off = ENTRY_SECONDS + dive.appearance.entry_jitter - clean
    entry = take_off + flight
    open_from = entry - 0.60 + 0.54 * faults["late_opening"]
    unfinished = faults["unfinished_twist"]
    twist_from = twist_to = take_off + 0.08 * flight
    if number.half_twists:
        share = 0.50 if number.position == "B" else 0.66
        twist_to = twist_from + (share + (0.92 - share) * unfinished) * flight
    travel = 1.7 + faults["distance"] * (1.5 if dive.too_far else -1.3)
    return Timing(
        take_off=take_off,
        closed=take_off + 0.04 * flight + CLOSING,
        open_from=open_from,
        open_to=open_from + OPENING,
        entry=entry,
        twist_from=twist_from,
        twist_to=twist_to,
        final_angle=np.pi * number.half_somersaults + tilt,
        final_twist=np.pi * number.half_twists - np.radians(110) * unfinished,
        speed_up=speed_up,
        speed_out=(travel - 0.1) / flight,
    )


def fault_times(dive: Dive) -> dict[str, tuple[float, float]]:
    """When in the clip each fault can be seen: name -> (from, to) in seconds."""
    course = plan(dive)
    flight = course.entry - course.take_off
    return {
        "legs_apart": (course.take_off + dive.legs_from * flight, course.entry + 0.1),
        "loose_position": (course.closed - 0.1, course.open_from + 0.1),
        "late_opening": (course.entry - 0.60, course.entry + 0.1),
        "unfinished_twist": (course.entry - 0.5, course.entry + 0.1),
        "rotation": (course.entry - 0.25, course.entry + 0.1),
        "distance": (course.take_off + 0.3 * flight, course.entry + 0.1),
        "splash": (course.entry, CLIP_SECONDS),
        "failed": (course.entry - 0.4, CLIP_SECONDS),
    }


def poses(dive: Dive, times: np.ndarray) -> np.ndarray:
    """Pose angles [T, 9] (ANGLES) at these moments of the clip."""
    course, faults = plan(dive), dive.faults
    flight = course.entry - course.take_off
    times = np.asarray(times, float)
    angles = np.tile(_pose("stand"), (len(times), 1))
    for target, start, seconds in _shapes(dive, course):
        angles = angles + _smooth((times - start) / seconds)[:, None] * (target - angles)
    apart = faults["legs_apart"] * _smooth(
        (times - course.take_off - dive.legs_from * flight) / 0.15
    )
    names = ANGLES.index
    angles[:, names("apart")] += 0.62 * apart
    angles[:, names("split")] -= 0.45 * apart  # head down, this opens them to the camera's eye
    # A diver who is still twisting has not both hands together, and is still bent.
    astray = faults["unfinished_twist"] * _smooth((times - course.entry + 0.55) / 0.2)
    angles[:, names("aside")] += 1.5 * astray
    angles[:, names("hip")] += 0.35 * astray
    return angles


def _pose(name: str) -> np.ndarray:
    return np.array([*POSES[name], 0.0, 0.0, 0.0])


def _shapes(dive: Dive, course: Timing) -> Iterator[tuple[np.ndarray, float, float]]:
    """What the diver turns into, one after the other: pose [9], from when, within which seconds."""
    faults, number = dive.faults, dive.parsed

    def held(tight: str) -> np.ndarray:
        return _pose(tight) + faults["loose_position"] * (_pose(f"loose_{tight}") - _pose(tight))

    yield _pose("press"), course.take_off - 0.36, 0.20
    yield _pose("launch"), course.take_off - 0.14, 0.14
    closing = course.closed - CLOSING
    if number.half_twists:
        free = number.position == "D"
        yield held("wrapped") if free else _pose("wrapped"), closing, CLOSING
        closing += 0 if free else 0.36 * (course.entry - course.take_off)
    if number.position in "BC":
        yield held("pike" if number.position == "B" else "tuck"), closing, CLOSING
    yield _pose("straight"), course.open_from, OPENING * (1 + faults["late_opening"])
    if faults["failed"]:  # the diver gives up: bent and flailing onto the water
        yield _pose("loose_wrapped"), course.entry - 0.4, 0.3


def move(dive: Dive, times: np.ndarray) -> Motion:
    """The diver's figure at moments `times` [T] of the clip (0 .. CLIP_SECONDS)."""
    course, number, body = plan(dive), dive.parsed, dive.appearance.body
    times = np.asarray(times, float)
    grid = np.linspace(course.take_off, course.entry, 321)
    limbs = place_joints(poses(dive, grid), body)
    angle_grid, spin_grid, _ = turn_of_trunk(grid, limbs, course.final_angle)
    # The water stops the turning within some hundredths of a second.
    after = np.clip(times - course.entry, 0, None)
    angle = np.interp(times, grid, angle_grid) + spin_grid[-1] * 0.04 * (1 - np.exp(-after / 0.04))
    spin = np.interp(times, grid, spin_grid) * np.exp(-after / 0.04)
    spin = np.where(times < course.take_off, 0.0, spin)
    turned = (times - course.twist_from) / max(course.twist_to - course.twist_from, 1e-6)
    twist = course.final_twist * _smooth(turned) if number.half_twists else np.zeros_like(times)

    local = place_joints(poses(dive, times), body)
    facing = 1.0 if number.direction in (1, 3) else -1.0
    sense = 1.0 if number.direction in (1, 4) else -1.0  # forward and inward turn forwards

    points, masses = point_masses(local)
    local = local - np.einsum("m,tmc->tc", masses, points)[:, None, :]
    cos, sin = np.cos(twist)[:, None], np.sin(twist)[:, None]
    forward = cos * local[..., 0] - sin * local[..., 1]
    left = sin * local[..., 0] + cos * local[..., 1]
    cos, sin = np.cos(sense * angle)[:, None], np.sin(sense * angle)[:, None]
    forward, up = cos * forward + sin * local[..., 2], cos * local[..., 2] - sin * forward
    world = np.stack([facing * forward, up, -facing * left], -1)

    centre = _centre_of_mass(times, course, world, dive.height)
    return Motion(times, world + centre[:, None, :], centre, angle, twist, spin)


def _centre_of_mass(
    times: np.ndarray, course: Timing, figure: np.ndarray, height: float
) -> np.ndarray:
    """Path [T, 3]: feet on the board, then a parabola, then slowed by the water."""
    feet = figure[:, [INDEX["ankle_l"], INDEX["ankle_r"]]].mean(1)
    still = np.zeros(len(times))
    standing = np.stack([still + 0.02, height + 0.08 - feet[:, 1], still], -1)
    flight = np.clip(times - course.take_off, 0, course.entry - course.take_off)
    up = height + 1.0 + course.speed_up * flight - GRAVITY * flight**2 / 2
    flying = np.stack([0.1 + course.speed_out * flight, up, still], -1)
    after = np.clip(times - course.entry, 0, None)
    speed = course.speed_up - GRAVITY * (course.entry - course.take_off)
    slow = 0.30 * (1 - np.exp(-after / 0.30))
    flying += slow[:, None] * np.array([0.5 * course.speed_out, speed, 0.0])
    weight = _smooth((times - course.take_off + 0.06) / 0.10)[:, None]
    return standing + weight * (flying - standing)


def _smooth(share: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, and 3 s^2 - 2 s^3 between: begins and ends gently."""
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)
