"""Procedural dives written as the owners of each benchmark lay out theirs."""

import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from corelib.data.diving_rules import parse_dive_number
from corelib.data.samples import SampleTable
from corelib.data.video import read_video

MTL_AQA_PICKLES = ("final_annotations_dict_with_dive_number.pkl", "train_split_0.pkl", "test_split_0.pkl")


def write_mtl_aqa(raw: Path, dives: SampleTable) -> tuple[dict, dict]:
    """Two events, 3 black frames between two dives; returns (annotations, {split: entries})."""
    annotations, splits = {}, {"train": [], "test": []}
    for row, (sample, marks) in enumerate(zip(dives.samples.itertuples(), dives.marks(), strict=True)):
        event, place = 1 + row % 2, row // 2
        folder = raw / "new" / "new_total_frames_256s" / f"{event:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        video = read_video(dives.root / sample.media)
        start = (len(video) + 3) * place
        for number, picture in enumerate(np.concatenate([video, np.zeros_like(video[:3])])):
            Image.fromarray(picture).save(folder / f"{start + number:06d}.jpg", quality=95)
        number = parse_dive_number(sample.group)
        annotations[event, place + 1] = {
            "start_frame": start, "end_frame": start + len(video), "difficulty": sample.difficulty, "final_score": sample.score,
            "judge_scores": np.array(marks), "dive_number": sample.group, "armstand": 0,
            "position": {"B": 1, "C": 2, "D": 0}[number.position],
            "rotation_type": {2: 0, 1: 1, 4: 2, 3: 3}[number.direction],
            "ss_no": number.half_somersaults, "tw_no": number.half_twists, "primary_view": 0,
        }  # fmt: skip
        splits[sample.split].append((event, place + 1))
    write_mtl_aqa_pickles(raw / "info", annotations, splits)
    return annotations, splits


def write_mtl_aqa_pickles(info: Path, annotations: dict, splits: dict) -> None:
    info.mkdir(parents=True, exist_ok=True)
    for name, content in zip(MTL_AQA_PICKLES, (annotations, splits["train"], splits["test"]), strict=True):
        (info / name).write_bytes(pickle.dumps(content, protocol=2))
