"""Procedural dives written as the owners of each benchmark lay out theirs."""

import pickle
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from corelib.data.samples import SampleTable
from corelib.data.video import read_video, write_video
from data_scripts.dives.rules import parse_dive_number

MTL_AQA_PICKLES = (
    "final_annotations_dict_with_dive_number.pkl", "train_split_0.pkl", "test_split_0.pkl",
)  # fmt: skip


def write_mtl_aqa(raw: Path, dives: SampleTable) -> tuple[dict, dict]:
    """Two events, 3 black frames between two dives; returns (annotations, {split: entries})."""
    annotations, splits = {}, {"train": [], "test": []}
    for row, (sample, marks) in enumerate(
        zip(dives.samples.itertuples(), dives.marks(), strict=True)
    ):
        event, place = 1 + row % 2, row // 2
        folder = raw / "new" / "new_total_frames_256s" / f"{event:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        video = read_video(dives.root / sample.media)
        start = (len(video) + 3) * place
        for number, picture in enumerate(np.concatenate([video, np.zeros_like(video[:3])])):
            Image.fromarray(picture).save(folder / f"{start + number:06d}.jpg", quality=95)
        number = parse_dive_number(sample.group)
        annotations[event, place + 1] = {
            "start_frame": start,
            "end_frame": start + len(video),
            "difficulty": sample.difficulty,
            "final_score": sample.score,
            "judge_scores": np.array(marks),
            "dive_number": sample.group,
            "armstand": 0,
            "position": {"B": 1, "C": 2, "D": 0}[number.position],
            "rotation_type": {2: 0, 1: 1, 4: 2, 3: 3}[number.direction],
            "ss_no": number.half_somersaults,
            "tw_no": number.half_twists,
            "primary_view": 0,
        }
        splits[sample.split].append((event, place + 1))
    write_mtl_aqa_pickles(raw / "info", annotations, splits)
    return annotations, splits


def write_mtl_aqa_pickles(info: Path, annotations: dict, splits: dict) -> None:
    _write_pickles(info, MTL_AQA_PICKLES, annotations, splits)


def _write_pickles(folder: Path, names: tuple, annotations: dict, splits: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    contents = (annotations, splits["train"], splits["test"])
    for name, content in zip(names, contents, strict=True):
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


AQA7_CLASSES = (
    "diving", "gym_vault", "ski_big_air", "snowboard_big_air", "sync_diving_3m", "sync_diving_10m",
)  # fmt: skip


def write_aqa7(
    raw: Path, dives: SampleTable, *, train: int = 6, test: int = 4
) -> dict[int, dict[int, float]]:
    """The first dives as 103 frames in each of the six classes, .avi in the even ones.

    Returns {class: {sample: score}}. A row of trampoline (class 7), which has no folder here,
    stands in each list, as in the official ones.
    """
    scores = {}
    for kind, name in enumerate(AQA7_CLASSES, 1):
        scores[kind] = {}
        for sample, dive in enumerate(dives.samples.iloc[: train + test].itertuples(), 1):
            scores[kind][sample] = float(dive.score)
            place = raw / f"{name}-out" / f"{sample:03d}"
            video = read_video(dives.root / dive.media)
            video = video[np.linspace(0, len(video) - 1, 103).round().astype(int)]
            (place if kind % 2 else place.parent).mkdir(parents=True, exist_ok=True)
            if kind % 2:
                for number, picture in enumerate(video, 1):
                    Image.fromarray(picture).save(place / f"img_{number:05d}.jpg", quality=90)
            else:
                write_video(place.with_suffix(".avi"), video, 30)
    parts = {"train": range(1, train + 1), "test": range(train + 1, train + test + 1)}
    for split, samples in parts.items():
        rows = [[kind, sample, scores[kind][sample]] for kind in scores for sample in samples]
        write_aqa7_list(raw, split, rows + [[7, 1, 50.0]])
    return scores


def write_aqa7_list(raw: Path, split: str, rows: list[list[float]]) -> None:
    (raw / "Split_4").mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(
        raw / "Split_4" / f"split_4_{split}_list.mat",
        {f"consolidated_{split}_list": np.array(rows)},
    )


JIGSAWS_TASKS = {"Suturing": 12, "Needle_Passing": 8, "Knot_Tying": 8}


def jigsaws_trials(task: str) -> list[str]:
    """Three or four users (B, C, D, E) with the repetitions 1, 2, 4: Suturing_B001, ..."""
    trials = [f"{task}_{user}{repetition:03d}" for user in "BCDE" for repetition in (1, 2, 4)]
    return trials[: JIGSAWS_TASKS[task]]


def write_jigsaws(raw: Path, dives: SampleTable) -> dict[str, list[int]]:
    """28 dives as trials of the three tasks, the folds in splits.pkl beside `raw`.

    Returns {trial: six items}. The right camera sees each trial mirrored.
    """
    names = [trial for task in JIGSAWS_TASKS for trial in jigsaws_trials(task)]
    # points above 6, by the dives' order
    extra = dives.samples["score"].rank(method="first").astype(int) * 24 // 28
    items = {
        trial: [1 + points // 6 + (number < points % 6) for number in range(6)]
        for trial, points in zip(names, extra, strict=True)
    }
    for trial, sample in zip(names, dives.samples.itertuples(), strict=True):
        folder = raw / trial[:-5] / "video"
        folder.mkdir(parents=True, exist_ok=True)
        video = read_video(dives.root / sample.media)
        write_video(folder / f"{trial}_capture1.avi", video, 30)
        write_video(folder / f"{trial}_capture2.avi", np.ascontiguousarray(video[:, :, ::-1]), 30)
    for task in JIGSAWS_TASKS:
        rows = [
            f"{trial}\t\tE\t{sum(items[trial])}\t" + "\t".join(map(str, items[trial]))
            for trial in jigsaws_trials(task)
        ]
        (raw / task / f"meta_file_{task}.txt").write_text("\n".join(rows) + "\n\n")
    folds = {task: [jigsaws_trials(task)[fold::4] for fold in range(4)] for task in JIGSAWS_TASKS}
    (raw.parent / "splits.pkl").write_bytes(pickle.dumps(folds, protocol=2))
    return items


FINEDIVING_PICKLES = ("FineDiving_coarse_annotation.pkl", "train_split.pkl", "test_split.pkl")
FINEDIVING_EVENTS = ("FINADivingWorldCup2021_Men3m_final_r1", "FullMen10m_replays 2")


def write_finediving(raw: Path, dives: SampleTable) -> tuple[dict, dict]:
    """Two events, a folder a dive, frames numbered by competition.

    Returns (annotations, {split: entries}).
    """
    annotations, splits = {}, {"train": [], "test": []}
    for row, (sample, marks) in enumerate(
        zip(dives.samples.itertuples(), dives.marks(), strict=True)
    ):
        event, place, start = FINEDIVING_EVENTS[row % 2], row // 2, 500 + 90 * (row // 2)
        folder = raw / event / str(place)
        folder.mkdir(parents=True)
        for number, picture in enumerate(read_video(dives.root / sample.media)):
            Image.fromarray(picture).save(folder / f"{start + number:05d}.jpg", quality=95)
        annotations[event, place] = {
            "action_type": sample.group.lower() if row % 3 else sample.group,
            "sub-action_types": {},
            "start_frame": start,
            "end_frame": start + 19,
            "dive_score": np.float64(sample.score),
            "difficulty": sample.difficulty,
            "judge_scores": list(marks),
        }
        splits[sample.split].append((event, place))
    write_finediving_pickles(raw / "Annotations", annotations, splits)
    return annotations, splits


def write_finediving_pickles(folder: Path, annotations: dict, splits: dict) -> None:
    _write_pickles(folder, FINEDIVING_PICKLES, annotations, splits)
