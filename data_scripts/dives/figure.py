"""The diver as an articulated figure: joints, poses, inertia, and how it turns in free flight.

The figure lives in a trunk frame (X forward, Y to the diver's left, Z to the head), posed by joint
angles. In flight the trunk turns so that the angular momentum about the lateral axis stays what it
was at take-off, whatever arms and legs do: a tighter tuck spins faster. Metres, seconds, radians;
masses as shares of the body.
"""

from __future__ import annotations

from typing import Final

import numpy as np

JOINTS: Final = (
    "head", "neck", "pelvis", "shoulder_l", "shoulder_r", "elbow_l", "elbow_r", "hand_l", "hand_r",
    "hip_l", "hip_r", "knee_l", "knee_r", "ankle_l", "ankle_r", "toe_l", "toe_r",
)  # fmt: skip
INDEX: Final = {name: number for number, name in enumerate(JOINTS)}
# Segments and their share of the body's mass, in round numbers.
MASSES: Final = {
    ("neck", "pelvis"): 0.50,
    ("head", "neck"): 0.08,
    **{(f"shoulder_{s}", f"elbow_{s}"): 0.03 for s in "lr"},
    **{(f"elbow_{s}", f"hand_{s}"): 0.02 for s in "lr"},
    **{(f"hip_{s}", f"knee_{s}"): 0.10 for s in "lr"},
    **{(f"knee_{s}", f"ankle_{s}"): 0.045 for s in "lr"},
    **{(f"ankle_{s}", f"toe_{s}"): 0.015 for s in "lr"},
}

# A pose is a row of these angles: flexions are 0 in a straight body with the arms at the sides; a
# shoulder at pi holds the arm overhead; `apart` and `split` open the legs sideways and fore and
# aft, `aside` one arm.
ANGLES: Final = ("hip", "knee", "ankle", "shoulder", "elbow", "neck", "apart", "split", "aside")
POSES: Final = {
    #            hip   knee  ankle shoul elbow neck
    "stand": (0.05, 0.08, 1.45, 3.00, 0.10, 0.0),
    "press": (0.75, 1.25, 0.95, 2.50, 0.30, 0.0),
    "launch": (0.00, 0.00, 0.35, 3.05, 0.00, 0.0),
    "straight": (0.00, 0.00, 0.10, 3.14, 0.00, 0.0),
    "wrapped": (0.05, 0.00, 0.10, 0.90, 2.20, 0.1),
    "tuck": (2.30, 2.45, 0.30, -0.20, 1.50, 0.6),
    "loose_tuck": (1.35, 1.45, 0.60, 0.70, 0.50, 0.2),
    "pike": (2.60, 0.00, 0.05, 2.10, 0.20, 0.5),
    "loose_pike": (1.45, 0.75, 0.40, 1.30, 0.25, 0.1),
    "loose_wrapped": (0.85, 1.15, 0.50, 0.90, 1.60, 0.1),
}  # fmt: skip


def place_joints(pose: np.ndarray, body: float = 1.0) -> np.ndarray:
    """Joint positions [T, 17, 3] in the trunk frame, the pelvis at the origin.

    pose  angles [T, 9] (ANGLES)
    body  size of the figure: 1 is 1.7 m tall
    """
    hip, knee, ankle, shoulder, elbow, neck, apart, split, aside = np.moveaxis(
        np.asarray(pose, float), -1, 0
    )
    joints = np.zeros((*hip.shape, len(JOINTS), 3))

    def put(name: str, value: np.ndarray) -> np.ndarray:
        joints[..., INDEX[name], :] = value
        return joints[..., INDEX[name], :]

    def swing(angle: np.ndarray, sideways: np.ndarray) -> np.ndarray:
        """Unit vectors: straight down at 0, forwards at pi/2, leaning to +Y by `sideways`."""
        flat = np.cos(sideways)
        return np.stack([np.sin(angle) * flat, np.sin(sideways), -np.cos(angle) * flat], -1)

    base = put("neck", np.array([0.0, 0.0, 0.54]))
    put("head", base + 0.17 * np.stack([np.sin(neck), np.zeros_like(neck), np.cos(neck)], -1))
    for side, sign in (("l", 1.0), ("r", -1.0)):
        out = aside if side == "l" else np.zeros_like(aside)
        above = put(f"shoulder_{side}", np.array([0.0, 0.17 * sign, 0.47]))
        # Arms overhead meet: they lean inwards as they rise.
        lean = -0.27 * np.clip((shoulder - 2.4) / 0.7, 0, 1)
        upper = above + 0.28 * swing(shoulder - 0.6 * out, sign * (lean + out))
        above = put(f"elbow_{side}", upper)
        lower = swing(shoulder + elbow - 0.6 * out, sign * (lean * 0.7 + out))
        put(f"hand_{side}", above + 0.40 * lower)
        above = put(f"hip_{side}", np.array([0.0, 0.085 * sign, 0.0]))
        # Closed legs touch: from the hips they lean inwards a little.
        leg = sign * (apart - 0.06)
        above = put(f"knee_{side}", above + 0.43 * swing(hip + sign * split, leg))
        above = put(f"ankle_{side}", above + 0.42 * swing(hip + sign * split - knee, leg))
        put(f"toe_{side}", above + 0.19 * swing(hip + sign * split - knee + ankle, leg))
    return joints * body


def point_masses(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [..., 2 n, 3] and masses [2 n], 1 together, that weigh and turn as rods for segments.

    A uniform rod of length l has the moment of inertia m l^2 / 12. So have two points m / 2 at
    l / sqrt(12) from its middle.
    """
    ends = np.array([[INDEX[a], INDEX[b]] for a, b in MASSES])
    first, second = joints[..., ends[:, 0], :], joints[..., ends[:, 1], :]
    middle, half = (first + second) / 2, (second - first) / np.sqrt(12)
    masses = np.array(list(MASSES.values()))
    return np.concatenate([middle + half, middle - half], -2), np.tile(masses / masses.sum() / 2, 2)


def turn_of_trunk(
    times: np.ndarray, joints: np.ndarray, final_angle: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """How the trunk turns in free flight, to `final_angle`, by constant angular momentum.

    times [N], joints [N, 17, 3] in the trunk frame. Returns the angle [N] (0 at the start), the
    angular velocity [N], and the angular momentum L per kilogram (m^2/s). Limbs that move inside
    the trunk frame carry l(t); the trunk turns at (L - l(t)) / I(t), and L is chosen so that the
    integral is the final angle.
    """
    points, masses = point_masses(joints)
    points = points - np.einsum("m,nmc->nc", masses, points)[:, None, :]
    velocity = np.gradient(points, times, axis=0)
    inertia = np.einsum("m,nm->n", masses, points[..., 0] ** 2 + points[..., 2] ** 2)
    # Turning forwards carries the head (+Z) towards +X.
    inner = np.einsum(
        "m,nm->n", masses, points[..., 2] * velocity[..., 0] - points[..., 0] * velocity[..., 2]
    )
    step = np.diff(times)

    def integral(values: np.ndarray) -> np.ndarray:
        return np.concatenate([[0.0], np.cumsum(step * (values[1:] + values[:-1]) / 2)])

    per_momentum, drift = integral(1 / inertia), integral(inner / inertia)
    momentum = (final_angle + drift[-1]) / per_momentum[-1]
    return momentum * per_momentum - drift, (momentum - inner) / inertia, float(momentum)
