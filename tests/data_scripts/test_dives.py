"""The invented dives: physics, faults, judges, pictures, and the dataset made of them."""

import dataclasses
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.stats import skew, spearmanr

from corelib.data.samples import DatasetError, SampleTable
from corelib.data.video import read_video
from data_scripts.dives import figure, motion
from data_scripts.dives.camera import render_dive
from data_scripts.dives.dataset import describe_dive, find_or_make_dives, make_dives, redraw_dive
from data_scripts.dives.figure import ANGLES, INDEX, JOINTS, MASSES, POSES
from data_scripts.dives.judges import (
    DEDUCTIONS,
    DEFAULT_NUMBERS,
    FAULTS,
    LEANING,
    OCCURRENCES,
    deduction,
    draw_dive,
    judge,
    main_fault,
    mark_of_faults,
)
from data_scripts.dives.motion import CLIP_SECONDS
from data_scripts.dives.rules import DIFFICULTY, execution_score, panel_score
from data_scripts.dives.scene import splash_size
from data_scripts.readers.pickles import load_pickle

SCRIPT = Path(__file__).parents[2] / "data_scripts" / "make_dives.py"


def flawless(number: str = "107C", seed: int = 3, **changes):
    """A dive without a fault, or with those given by name."""
    dive = draw_dive(seed, [number])
    faults = dict.fromkeys(FAULTS, 0.0) | {
        name: changes.pop(name) for name in FAULTS if name in changes
    }
    appearance = dataclasses.replace(dive.appearance, entry_jitter=0.0, body=1.0)
    dive = dataclasses.replace(
        dive, faults=faults, height=10.0, over_rotated=True, too_far=True, appearance=appearance
    )
    return dataclasses.replace(dive, legs_from=0.3, **changes)


def moved(dive, frames: int = 500):
    return motion.move(dive, np.linspace(0, CLIP_SECONDS, frames))


@pytest.fixture(scope="module")
def many():
    return [draw_dive(np.random.default_rng([11, number])) for number in range(3000)]


# Physics


def test_fall_time_by_hand():
    # sqrt(2 x 9.81 / 9.81) = 1.414 s for 9.81 m from rest; thrown up, as long again as the way up
    # and down takes.
    assert motion.fall_time(9.81, 0.0) == pytest.approx(np.sqrt(2))
    assert motion.fall_time(0.0, 4.905) == pytest.approx(1.0)


@given(st.floats(0.5, 12), st.floats(0, 6))
def test_fall_time_solves_the_equation_of_motion(drop, speed):
    time = motion.fall_time(drop, speed)
    assert drop + speed * time - motion.GRAVITY * time**2 / 2 == pytest.approx(0, abs=1e-9)
    assert time > speed / motion.GRAVITY


def test_the_centre_of_mass_falls_freely():
    dive = flawless()
    course = motion.plan(dive)
    flight = moved(dive, 2001)
    inside = (flight.times > course.take_off + 0.1) & (flight.times < course.entry - 0.01)
    step = flight.times[1] - flight.times[0]
    acceleration = np.diff(flight.centre, 2, axis=0)[inside[1:-1]] / step**2
    np.testing.assert_allclose(
        acceleration, np.tile([0, -motion.GRAVITY, 0], (len(acceleration), 1)), atol=1e-4
    )


def test_height_sets_the_time():
    high, low = flawless(), dataclasses.replace(flawless(), height=3.0)
    seconds = [motion.plan(dive).entry - motion.plan(dive).take_off for dive in (high, low)]
    assert 1.6 < seconds[0] < 1.8 and 1.25 < seconds[1] < 1.5


def pose(name: str) -> np.ndarray:
    return figure.place_joints(np.array([*POSES[name], 0, 0, 0]))


def moment_of_inertia(joints: np.ndarray) -> np.ndarray:
    """About the lateral (Y) axis through the centre of mass, per kilogram of body: [...] in m^2."""
    points, masses = figure.point_masses(joints)
    points = points - np.einsum("m,...mc->...c", masses, points)[..., None, :]
    return np.einsum("m,...m->...", masses, points[..., 0] ** 2 + points[..., 2] ** 2)


def test_moment_of_inertia_by_hand():
    # All mass at one place: 0. The trunk alone 1 m long, half the mass: a rod's .5 / 12 about its
    # middle, .25 m from the common centre, and .5 at .25 m on the other side, where everything else
    # sits at the trunk's end.
    body = np.zeros((len(JOINTS), 3))
    assert moment_of_inertia(body) == pytest.approx(0)
    share = MASSES["neck", "pelvis"] / sum(MASSES.values())
    body[:, 2] = 1.0
    body[INDEX["pelvis"], 2] = 0.0
    expected = share / 12 + share * (1 - share) * 0.5**2
    assert moment_of_inertia(body) == pytest.approx(expected)
    # About the lateral axis a shift along it changes nothing.
    body[:, 1] = np.arange(len(JOINTS))
    assert moment_of_inertia(body) == pytest.approx(expected)


def test_tighter_poses_have_less_inertia():
    points, masses = figure.point_masses(pose("straight"))
    assert masses.sum() == pytest.approx(1) and points.shape == (len(masses), 3)
    inertia = {name: float(moment_of_inertia(pose(name))) for name in POSES}
    assert inertia["tuck"] < inertia["loose_tuck"] < inertia["straight"]
    assert inertia["tuck"] < inertia["pike"] < inertia["loose_pike"] < inertia["straight"]


def test_limbs_keep_their_lengths():
    """Whatever the angles, a bone is as long as in the straight body."""
    rng = np.random.default_rng(0)
    joints = figure.place_joints(rng.uniform(-1, 2.5, (50, len(ANGLES))))
    straight = pose("straight")
    for one, other in MASSES:
        if one == "neck":
            continue
        bone = np.linalg.norm(joints[:, INDEX[one]] - joints[:, INDEX[other]], axis=1)
        np.testing.assert_allclose(
            bone, np.linalg.norm(straight[INDEX[one]] - straight[INDEX[other]]), rtol=1e-9
        )


def test_angular_momentum_is_conserved():
    """Measured from the moving joints in the world, independently of how the turn was computed."""
    dive = flawless("107B")
    course = motion.plan(dive)
    times = np.linspace(course.take_off + 0.12, course.entry - 0.05, 4001)
    points, masses = figure.point_masses(motion.move(dive, times).joints)
    points = points - np.einsum("m,tmc->tc", masses, points)[:, None]
    speed = np.gradient(points, times, axis=0)
    momentum = np.einsum(
        "m,tm->t", masses, points[..., 1] * speed[..., 0] - points[..., 0] * speed[..., 1]
    )[2:-2]
    assert momentum.std() < 0.03 * abs(momentum.mean())


def test_the_turn_of_a_stiff_body_is_even():
    joints = np.tile(pose("pike"), (101, 1, 1))
    angle, spin, momentum = figure.turn_of_trunk(np.linspace(0, 1, 101), joints, 10.0)
    np.testing.assert_allclose(angle, np.linspace(0, 10, 101), atol=1e-9)
    np.testing.assert_allclose(spin, 10.0)
    assert momentum == pytest.approx(10.0 * moment_of_inertia(pose("pike")))


def test_the_turn_agrees_with_an_ode_solver():
    """A body that closes from straight to tuck: trapezoids against solve_ivp on the same
    equation."""
    times = np.linspace(0, 1, 2001)
    share = np.clip(times / 0.3, 0, 1)[:, None] ** 2
    straight, tuck = (np.array([*POSES[name], 0, 0, 0]) for name in ("straight", "tuck"))
    joints = figure.place_joints(straight + share * (tuck - straight))
    angle, spin, _ = figure.turn_of_trunk(times, joints, 3 * np.pi)
    solved = solve_ivp(lambda t, _: [np.interp(t, times, spin)], (0, 1), [0.0], max_step=1e-3)
    assert angle[-1] == pytest.approx(3 * np.pi) and solved.y[0, -1] == pytest.approx(
        3 * np.pi, rel=1e-3
    )


def test_a_tighter_tuck_spins_faster():
    """With the same momentum, and also in a dive that has to get round all the same."""
    spins = [1 / moment_of_inertia(pose(name)) for name in ("tuck", "loose_tuck", "straight")]
    assert spins[0] > 1.3 * spins[1] > 1.3 * spins[2]
    fastest = [
        moved(flawless("107C", loose_position=loose)).spin.max() for loose in (0.0, 0.5, 1.0)
    ]
    assert fastest[0] > fastest[1] > fastest[2]


@pytest.mark.parametrize("number", DIFFICULTY)
def test_every_dive_turns_as_its_number_says(number):
    """Somersaults and twists counted in the world: the head is down at entry and the body faces
    where it must."""
    dive = flawless(number)
    course, parsed = motion.plan(dive), dive.parsed
    entry = motion.move(dive, np.array([course.entry]))
    assert entry.angle[0] == pytest.approx(np.pi * parsed.half_somersaults)
    assert entry.twist[0] == pytest.approx(np.pi * parsed.half_twists)
    joints = entry.joints[0]
    heights = [joints[INDEX[name], 1] for name in ("hand_l", "head", "pelvis", "toe_l")]
    assert heights == sorted(heights)
    # Half turns about either axis turn the diver's left: it began away from the camera when facing
    # the water.
    facing_water = parsed.direction in (1, 3)
    left = joints[INDEX["hip_l"], 2] - joints[INDEX["hip_r"], 2]
    assert np.sign(left) == (-1 if facing_water else 1) * (-1) ** parsed.half_twists


@pytest.mark.parametrize(
    ("number", "towards_water"), [("107B", True), ("207C", True), ("307C", False), ("407C", False)]
)
def test_forward_and_back_turn_over_the_water_reverse_and_inward_to_the_board(
    number, towards_water
):
    dive = flawless(number)
    course = motion.plan(dive)
    flight = moved(dive, 2001)
    long_axis = flight.joints[:, INDEX["neck"]] - flight.joints[:, INDEX["pelvis"]]
    quarter = np.argmax(flight.angle > np.pi / 2)
    assert flight.times[quarter] > course.take_off
    assert (long_axis[quarter, 0] > 0) == towards_water


@pytest.mark.parametrize("over", [True, False])
def test_over_and_short_rotation_tilt_the_entry(over):
    dive = dataclasses.replace(flawless(rotation=0.8), over_rotated=over)
    course = motion.plan(dive)
    excess = motion.move(dive, np.array([course.entry])).angle[0] - 7 * np.pi
    assert np.sign(excess) == (1 if over else -1) and np.radians(20) < abs(excess) < np.radians(60)


def test_the_diver_stands_on_the_board_and_ends_under_water():
    flight = moved(flawless())
    assert flight.joints[0, :, 1].min() == pytest.approx(10.0, abs=0.15)
    assert flight.joints[-1, :, 1].max() < 0


def test_distance_from_the_board():
    at_entry = {}
    for name, fault, far in (("good", 0.0, True), ("far", 1.0, True), ("near", 1.0, False)):
        dive = dataclasses.replace(flawless(distance=fault), too_far=far)
        at_entry[name] = motion.move(dive, np.array([motion.plan(dive).entry])).centre[0, 0]
    assert at_entry["near"] + 1 < at_entry["good"] < at_entry["far"] - 1


# Faults and judges


def test_deductions_by_hand():
    for fault, largest in DEDUCTIONS.items():
        assert deduction(fault, 0.0) == 0 and deduction(fault, 1.0) == pytest.approx(largest)
        # Half a fault: (1 - e^-.75) / (1 - e^-1.5) = .5276 / .7769 of the whole one.
        assert deduction(fault, 0.5) == pytest.approx(0.679 * largest, abs=1e-3)


@given(st.sampled_from(list(DEDUCTIONS)), st.floats(0, 0.95), st.floats(0.01, 0.05))
def test_a_larger_fault_costs_more_and_saturates(fault, magnitude, more):
    step = deduction(fault, magnitude + more) - deduction(fault, magnitude)
    assert 0 < step <= deduction(fault, more) + 1e-12


def test_marks_of_faults():
    assert mark_of_faults({}) > 9.5
    both = deduction("splash", 1.0) + deduction("distance", 0.5)
    assert mark_of_faults({"splash": 1.0, "distance": 0.5}) == pytest.approx(
        mark_of_faults({}) - both
    )
    assert 0 <= mark_of_faults(dict.fromkeys(DEDUCTIONS, 1.0)) < 1
    assert mark_of_faults({"failed": 1.0}) == 0.0 and mark_of_faults({"failed": 0.1}) <= 2.0


def test_main_fault_is_the_dearest():
    assert main_fault({}) == "none" and main_fault({"splash": 0.05}) == "none"
    assert main_fault({"splash": 0.5, "distance": 0.5}) == "splash"
    assert main_fault({"splash": 0.9, "failed": 0.2}) == "failed"


@given(st.floats(0, 10), st.integers(0, 1000))
def test_judges_give_half_points(true_mark, seed):
    marks = judge(true_mark, np.random.default_rng(seed))
    assert len(marks) == 7 and all(0 <= mark <= 10 and (2 * mark).is_integer() for mark in marks)
    assert not any(str(mark).startswith("-") for mark in marks)
    assert abs(np.mean(marks) - true_mark) < 1.2


def test_marks_are_spread_as_real_ones_are(many):
    """MTL-AQA: mean 7.12, sd of a dive's mean 1.39, judges within a dive .32, panel range .90 (mode
    1.0)."""
    marks = np.array([dive.marks for dive in many])
    assert marks.mean() == pytest.approx(7.1, abs=0.2)
    assert marks.mean(1).std() == pytest.approx(1.4, abs=0.2)
    assert marks.std(1).mean() == pytest.approx(0.32, abs=0.05)
    ranges = np.ptp(marks, axis=1)
    assert ranges.mean() == pytest.approx(0.9, abs=0.15)
    assert np.bincount((2 * ranges).astype(int)).argmax() == 2
    medians = np.median(marks, axis=1)
    assert medians.min() == 0 and medians.max() >= 9.5 and skew(medians) < -0.5


def test_scores_are_as_hard_to_predict_as_real_ones(many):
    """Difficulty alone reaches rho .45-.65; one judge against the other six, times difficulty,
    .96-.985."""
    difficulty = np.array([dive.difficulty for dive in many])
    score = np.array([dive.score for dive in many])
    marks = np.array([dive.marks for dive in many])
    assert 0.45 < spearmanr(difficulty, score).statistic < 0.65
    others = np.sort(marks[:, 1:], axis=1)[:, 1:5].mean(1)
    assert 0.96 < spearmanr(marks[:, 0] * difficulty, others * difficulty).statistic < 0.985


def test_faults_and_leaning_decide_the_score(many):
    """Nothing but the judges' noise stands between visible faults plus leaning and the execution
    score."""
    execution = [execution_score(dive.marks) for dive in many]
    assert spearmanr([dive.true_mark for dive in many], execution).statistic > 0.98
    assert spearmanr([mark_of_faults(dive.faults) for dive in many], execution).statistic > 0.93
    for dive in many:
        leaning = 0 if dive.faults["failed"] else LEANING[dive.number]
        assert dive.true_mark == pytest.approx(
            np.clip(mark_of_faults(dive.faults) + leaning, 0, 10)
        )
    assert all(dive.score == panel_score(dive.marks, DIFFICULTY[dive.number]) for dive in many)


def test_the_judges_lean_as_in_the_real_annotations(aqa_data, many):
    """The means of MTL-AQA's dives, shrunk by n / (n + within / between); about 5 % of the marks'
    variance."""
    dives = load_pickle(
        aqa_data / "mtl_aqa" / "final_annotations_dict_with_dive_number.pkl"
    ).values()
    real = pd.DataFrame(
        [(dive["dive_number"], np.mean(dive["judge_scores"])) for dive in dives],
        columns=["number", "mark"],
    )
    shift = real.groupby("number")["mark"].agg(["mean", "size"])
    shift["mean"] -= real["mark"].mean()
    between = (shift["mean"] ** 2 * shift["size"]).sum() / len(real)
    within = real["mark"].var() - between
    between -= (len(shift) - 1) / len(real) * within  # what chance alone would show
    assert between / (between + within) == pytest.approx(0.054, abs=0.001)
    for number, leaning in LEANING.items():
        mean, size = shift.loc[number]
        assert leaning == pytest.approx(mean * size / (size + within / between), abs=0.006)
    leanings = np.array([LEANING[dive.number] for dive in many])
    assert 0.02 < leanings.var() / np.var([np.mean(dive.marks) for dive in many]) < 0.08


def test_faults_do_not_hang_on_number_height_or_look(many):
    true = np.array([mark_of_faults(dive.faults) for dive in many])
    for column in (
        [dive.difficulty for dive in many],
        [dive.height for dive in many],
        [dive.parsed.half_twists > 0 for dive in many],
        [dive.appearance.light for dive in many],
        [sum(dive.appearance.suit) for dive in many],
    ):
        assert (
            abs(spearmanr(column, true).statistic) < 0.06
        )  # 3 standard errors of 3,000 independent pairs


def test_the_less_skilled_score_less_and_every_fault_occurs(many):
    assert (
        spearmanr([dive.skill for dive in many], [dive.true_mark for dive in many]).statistic > 0.3
    )
    assert {dive.main_fault for dive in many} == {*FAULTS, "none"}
    for dive in many[:300]:
        assert (dive.faults["unfinished_twist"] == 0) or dive.parsed.half_twists
        assert (dive.faults["late_opening"] == 0) or not dive.parsed.half_twists


def test_each_difficulty_holds_enough_dives(many):
    """In 450 training dives even the rarest difficulty should have a dozen."""
    shares = np.unique([dive.difficulty for dive in many], return_counts=True)[1] / len(many)
    assert len(shares) >= 8 and shares.min() * 450 > 12
    assert set(OCCURRENCES) == set(DIFFICULTY) and {dive.number for dive in many} == set(
        DEFAULT_NUMBERS
    )


def test_numbers_without_a_difficulty_are_refused():
    with pytest.raises(ValueError, match="no difficulty is known for 101A"):
        draw_dive(0, ["107B", "101A"])
    with pytest.raises(ValueError, match="not a dive number"):
        draw_dive(0, ["nonsense"])
    assert draw_dive(0, ["409c"]).number == "409C"


# Pictures


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_changes_the_picture_while_it_lasts(fault):
    """Larger is more visible, the frames named for it show it, and the stand on the board shows
    nothing of it."""
    number = "5253B" if fault == "unfinished_twist" else "107C"
    clean = render_dive(flawless(number), frames=50, size=64).astype(float)
    small, large = (
        np.abs(
            render_dive(flawless(number, **{fault: magnitude}), frames=50, size=64) - clean
        ).mean((1, 2, 3))
        for magnitude in (0.2, 1.0)
    )
    assert large.sum() > small.sum() > 0
    row = describe_dive(flawless(number, **{fault: 1.0}), "x", 50)
    assert row["main_fault"] == fault
    inside = slice(row["fault_start"], row["fault_end"])
    assert large[inside].mean() > 1.0
    assert large[:4].max() == 0


def test_splash_grows_with_its_fault_and_with_a_slanted_entry():
    growing = ({}, {"rotation": 0.5}, {"splash": 0.5}, {"splash": 1.0}, {"failed": 0.5})
    sizes = [splash_size(flawless(**faults)) for faults in growing]
    assert sizes == sorted(sizes) and sizes[0] < 0.1 and sizes[-1] == 1.0


def test_the_same_dive_gives_the_same_frames():
    first, second = (
        render_dive(draw_dive(np.random.default_rng([4, 2])), frames=12, size=48) for _ in range(2)
    )
    assert first.dtype == np.uint8 and first.shape == (12, 48, 48, 3)
    np.testing.assert_array_equal(first, second)
    other = render_dive(draw_dive(np.random.default_rng([4, 3])), frames=12, size=48)
    assert np.abs(first.astype(int) - other).mean() > 5


def test_mirrored_is_mirrored():
    dive = flawless()
    looks = [dataclasses.replace(dive.appearance, mirrored=mirrored) for mirrored in (False, True)]
    left, right = (
        render_dive(dataclasses.replace(dive, appearance=look), frames=6, size=32) for look in looks
    )
    np.testing.assert_array_equal(left, right[:, :, ::-1])


def test_full_size_and_length():
    video = render_dive(draw_dive(1), frames=103, size=224)
    assert video.shape == (103, 224, 224, 3) and video.std() > 10


@settings(max_examples=20)
@given(
    st.integers(0, 10**6), st.sampled_from(list(DIFFICULTY)), st.integers(2, 9), st.integers(8, 20)
)
def test_every_dive_can_be_drawn(seed, number, frames, half_size):
    video = render_dive(draw_dive(seed, [number]), frames=frames, size=2 * half_size)
    assert video.shape == (frames, 2 * half_size, 2 * half_size, 3)
    assert all(frame.std() > 3 for frame in video)


def test_too_small_pictures_are_refused():
    with pytest.raises(ValueError, match="at least 2 frames of at least 16"):
        render_dive(draw_dive(0), frames=1, size=64)


def test_the_figure_is_large_enough_to_be_judged():
    """In flight the diver spans a good part of a 64-pixel picture, tucked and stretched."""
    dive = flawless()
    scale = 64 / dive.appearance.view
    course = motion.plan(dive)
    times = np.linspace(course.take_off + 0.1, course.entry - 0.05, 40)
    spans = np.ptp(motion.move(dive, times).joints[..., :2], axis=1).max(1) * scale
    assert spans.min() > 12 and spans.max() > 35


def rho_of_ridge(pictures: np.ndarray, target: np.ndarray) -> float:
    """Mean rank correlation, on 5 held-out folds, of a ridge regression on 30 whitened principal
    components."""
    pixels = pictures.reshape(len(pictures), -1).astype(np.float32)
    folds = np.random.default_rng(0).permutation(len(pixels)) % 5
    rhos = []
    for fold in range(5):
        train, held = folds != fold, folds == fold
        centred = pixels - pixels[train].mean(0)
        gram = (centred @ centred[train].T).astype(float)
        values, axes = np.linalg.eigh(gram[train])
        scores = gram @ axes[:, -30:] / values[-30:]
        seen, level = scores[train], target[train].mean()
        weights = np.linalg.solve(
            seen.T @ seen + 0.1 * np.eye(30), seen.T @ (target[train] - level)
        )
        rhos.append(spearmanr(scores[held] @ weights, target[held]).statistic)
    return float(np.mean(rhos))


def test_the_first_frame_tells_nothing_of_the_execution():
    """A linear model on first frames: nothing once difficulty is regressed out - though it sees
    what is there."""
    dives = [draw_dive(np.random.default_rng([21, number])) for number in range(500)]
    pictures = np.stack([render_dive(dive, frames=10, size=24)[0] for dive in dives])
    execution = np.array([execution_score(dive.marks) for dive in dives])
    difficulty = np.array([dive.difficulty for dive in dives])
    rest = execution - np.polyval(np.polyfit(difficulty, execution, 1), difficulty)
    assert abs(rho_of_ridge(pictures, rest)) < 0.15
    assert rho_of_ridge(pictures, np.array([dive.appearance.light for dive in dives])) > 0.3


def test_the_entry_does_tell_of_the_execution():
    """The counterpart: even a linear model sees some of it in the frames about the entry of a plain
    setting."""
    look = dataclasses.replace(flawless().appearance, mirrored=False)
    dives = [draw_dive(np.random.default_rng([22, number]), ["107C"]) for number in range(240)]
    dives = [dataclasses.replace(dive, appearance=look, height=10.0) for dive in dives]
    pictures = np.stack([render_dive(dive, frames=20, size=24)[12:] for dive in dives])
    assert rho_of_ridge(pictures, np.array([execution_score(dive.marks) for dive in dives])) > 0.4


# The dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "dives"
    return make_dives(out, train=5, val=2, test=3, frames=16, size=32, seed=7, workers=1)


def test_the_dataset_keeps_the_contract(dataset):
    table = SampleTable.load(dataset.folder)
    samples = table.samples
    assert list(samples["split"]) == ["train"] * 5 + ["val"] * 2 + ["test"] * 3
    assert (
        list(samples["id"][:2]) == ["dive-00001", "dive-00002"]
        and samples["media"][0] == "videos/dive-00001.mp4"
    )
    assert table.info["pairing_key"] == "difficulty" and table.info["divided_by_difficulty"]
    assert table.info["score_range"] == [0, 123.0] and table.info["frame_size"] == [32, 32]
    assert table.info["frame_rate"] * CLIP_SECONDS == pytest.approx(16)
    for row, marks in zip(samples.itertuples(), table.marks(), strict=True):
        assert (
            row.score == panel_score(marks, row.difficulty)
            and row.difficulty == DIFFICULTY[row.group]
        )
        faults = {fault: getattr(row, f"fault_{fault}") for fault in FAULTS}
        assert row.main_fault == main_fault(faults)
    assert table.target(with_difficulty=True).max() <= 30


def test_the_videos_are_the_pictures(dataset):
    for number in (0, 9):
        dive = draw_dive(np.random.default_rng([7, number]))
        video = read_video(dataset.root / dataset.samples["media"][number])
        drawn = render_dive(dive, frames=16, size=32)
        assert video.shape == drawn.shape
        assert (
            np.abs(video.astype(int) - drawn).mean() < 6
        )  # what H.264 and its coarser colours lose


def test_any_number_of_workers_makes_the_same_dives(dataset, tmp_path):
    """The same tables to the byte; videos are compared as pictures, since encoders promise no equal
    bytes."""
    again = make_dives(
        tmp_path / "dives", train=5, val=2, test=3, frames=16, size=32, seed=7, workers=2
    )
    files = sorted(
        path.relative_to(again.folder) for path in again.folder.rglob("*") if path.is_file()
    )
    assert len(files) == 12
    for name in ("samples.csv", "dataset.json"):
        assert (again.folder / name).read_bytes() == (dataset.folder / name).read_bytes()
    for media in dataset.samples["media"]:
        one, other = (
            read_video(folder / media).astype(int) for folder in (again.folder, dataset.folder)
        )
        assert one.shape == other.shape and np.abs(one - other).mean() < 1


def test_a_dive_does_not_hang_on_how_many_there_are(dataset, tmp_path):
    fewer = make_dives(
        tmp_path / "dives", train=3, val=0, test=0, frames=16, size=32, seed=7, workers=1
    )
    assert fewer.samples.drop(columns="split").equals(dataset.samples.drop(columns="split")[:3])


def test_an_existing_folder_is_kept_unless_told(dataset):
    with pytest.raises(FileExistsError, match="--overwrite"):
        make_dives(dataset.folder, train=1, val=0, test=0, frames=4, size=16, workers=1)
    assert len(SampleTable.load(dataset.folder).samples) == 10


def test_dives_that_are_there_are_found(dataset):
    before = (dataset.folder / "samples.csv").stat().st_mtime_ns
    found = find_or_make_dives(dataset.folder, counts=(5, 2, 3), frames=16, size=32, seed=7)
    assert (
        found.sha256 == dataset.sha256
        and (dataset.folder / "samples.csv").stat().st_mtime_ns == before
    )
    with pytest.raises(DatasetError, match="holds other dives"):
        find_or_make_dives(dataset.folder, counts=(5, 2, 4), frames=16, size=32, seed=7)


def test_a_dive_of_the_dataset_is_drawn_anew(dataset):
    for row in (0, len(dataset.samples) - 1):
        dive, sample = redraw_dive(dataset, row), dataset.samples.iloc[row]
        told = describe_dive(dive, sample["id"], 16)
        assert {key: told[key] for key in ("group", "score", "skill", "main_fault", "media")} == {
            key: sample[key] for key in ("group", "score", "skill", "main_fault", "media")
        }
        film = read_video(dataset.root / sample["media"]).astype(int)
        assert (
            np.abs(render_dive(dive, frames=16, size=32) - film).mean() < 8
        )  # but for the video file's losses


def test_a_dive_that_is_not_the_tables_is_not_drawn(dataset):
    other = dataclasses.replace(dataset, info=dataset.info | {"seed": 8})
    with pytest.raises(DatasetError, match="dive-00001 is another dive"):
        redraw_dive(other, 0)
    real = dataclasses.replace(
        dataset, info={key: value for key, value in dataset.info.items() if key != "seed"}
    )
    with pytest.raises(DatasetError, match="no dataset of invented dives"):
        redraw_dive(real, 0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"train": 0}, "train must be 1"),
        ({"test": -1}, "0 or more"),
        ({"size": 33}, "even number"),
        ({"frames": 1}, "2 or more"),
        ({"seed": -1}, "seed"),
        ({"dive_numbers": ["101A"]}, "no difficulty is known"),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(tmp_path, wrong, said):
    with pytest.raises(ValueError, match=said):
        make_dives(tmp_path / "dives", **({"train": 2, "val": 0, "test": 0, "workers": 1} | wrong))
    assert list(tmp_path.iterdir()) == []


def test_the_command_line(tmp_path):
    spec = importlib.util.spec_from_file_location("make_dives", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def run(*arguments):
        return CliRunner().invoke(script.main, arguments, catch_exceptions=False)

    out = tmp_path / "dives"
    size = [
        "--train",
        "2",
        "--val",
        "1",
        "--test",
        "1",
        "--frames",
        "8",
        "--size",
        "32",
        "--workers",
        "1",
    ]
    done = run("--out", str(out), *size, "--numbers", "107b,5253B")
    assert done.exit_code == 0, done.output
    assert "2 train, 1 val, 1 test" in done.stdout
    assert set(SampleTable.load(out).samples["group"]) <= {"107B", "5253B"}
    refused = run("--out", str(out), *size)
    assert refused.exit_code == 2 and "--overwrite" in refused.stderr
    unknown = run("--out", str(tmp_path / "other"), *size, "--numbers", "101A")
    assert unknown.exit_code == 2 and "101A" in unknown.stderr


def test_a_script_without_a_main_guard_is_told_of_it(tmp_path):
    """The processes that draw read the script again, and must not wait for the dives that their
    parent is making."""
    script = tmp_path / "mine.py"
    call = "make_dives('dives', train=4, val=0, test=0, frames=4, size=16, workers=2)\n"
    run = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 300}
    script.write_text("from data_scripts.dives.dataset import make_dives\n" + call)
    plain = subprocess.run([sys.executable, script], **run)
    assert plain.returncode == 1 and 'if __name__ == "__main__":' in plain.stderr.splitlines()[-1]
    assert not (tmp_path / "dives").exists()
    script.write_text(
        "from data_scripts.dives.dataset import make_dives\nif __name__ == '__main__':\n    " + call
    )
    guarded = subprocess.run([sys.executable, script], **run)
    assert guarded.returncode == 0 and len(list((tmp_path / "dives" / "videos").iterdir())) == 4
