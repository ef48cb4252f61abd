"""AQA-7's lists of samples: where they lie, whether they are sound, and in which scale they score.

Its authors score in two scales: as the judges did (diving 21.6 to 102.6), and 100 times that.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse

from corelib.machine.messages import one_line

CLASSES = (
    "diving", "gym_vault", "ski_big_air", "snowboard_big_air", "sync_diving_3m", "sync_diving_10m",
)  # fmt: skip  # 1..6; trampoline is left out
# The class's lowest and highest score as the released CoRe has them
PAPER_RANGE = {
    "diving": (21.6, 102.6), "gym_vault": (12.3, 16.87), "ski_big_air": (8.0, 50.0),
    "snowboard_big_air": (8.0, 50.0), "sync_diving_3m": (46.2, 104.88),
    "sync_diving_10m": (49.8, 99.36),
}  # fmt: skip
HUNDREDFOLD = 100
DIGITS = 6  # after the point: 16.67 and 1667.0000000000002 / 100 are one score
HDF5 = b"\x89HDF\r\n\x1a\n"


def list_path(raw: Path, split: str) -> Path:
    """The list of a split below AQA-7's folder: Split_4's, or the one released without videos."""
    alone = raw / f"consolidated_{split}_list.mat"
    official = raw / "Split_4" / f"split_4_{split}_list.mat"
    return alone if alone.is_file() and not official.is_file() else official


def read_split(path: Path, split: str) -> tuple[list[tuple[int, int, float, int]], bool, list[str]]:
    """(rows, hundredfold, problems) of a split list.

    rows         (class 1..6, sample, score as the judges gave it, row of the list)
    hundredfold  whether the list has 100 times those scores
    problems     a line for every wrong row, and one where both scales are mixed
    """
    table = _read_list(path, f"consolidated_{split}_list")
    if isinstance(table, str):
        return [], False, [f"{path}: {table}"]
    rows, problems = [], []
    for number, (kind, sample, score) in enumerate(table.astype(float), 1):
        if kind not in range(1, 8):
            wrong = f"class {kind:g}; it must be 1..6 ({', '.join(CLASSES)}), or 7 for trampoline"
        elif not (np.isfinite(sample) and 1 <= sample < 10**6 and sample == int(sample)):
            wrong = f"sample number {sample:g}; it must be a whole number from 1"
        elif not np.isfinite(score):
            wrong = (
                f"the score of class {kind:g} sample {sample:g} is {score:g}; it must be a finite"
                " number"
            )
        else:
            if kind <= len(CLASSES):
                rows.append((int(kind), int(sample), float(score), number))
            continue
        problems.append(f"{path} row {number}: {wrong}")
    hundredfold, mixed = recognise_scale(rows)
    scale = HUNDREDFOLD if hundredfold else 1
    judged = [(kind, sample, round(score / scale, DIGITS), at) for kind, sample, score, at in rows]
    return judged, hundredfold, problems + [f"{path} {line}" for line in mixed]


def recognise_scale(rows: list[tuple[int, int, float, int]]) -> tuple[bool, list[str]]:
    """(whether the scores are 100 times the judged ones, a line where both scales are mixed).

    A score above ten times the highest that its class has as judged is in the scale x 100, whose
    scores all are (but 0, which tells nothing).
    """
    large = {
        above: [row for row in rows if row[2] and above == _is_hundredfold(row[0], row[2])]
        for above in (True, False)
    }
    if not (large[True] and large[False]):
        return bool(large[True]), []
    fewer, most = sorted(large.values(), key=len)
    (_, _, odd, odd_row), (_, _, usual, usual_row) = fewer[0], most[0]
    return False, [
        f"row {odd_row}: a score of {odd:g}, where row {usual_row} has {usual:g}: one is as judged,"
        " the other 100 times that; a list must keep to one scale"
    ]


def _is_hundredfold(kind: int, score: float) -> bool:
    return score > 10 * PAPER_RANGE[CLASSES[kind - 1]][1]


def _read_list(path: Path, name: str) -> np.ndarray | str:
    """The variable `name` of a .mat file, rows of three numbers; or what is wrong with it."""
    if not path.is_file():
        fetched = "python data_scripts/fetch_annotations.py aqa-7 fetches one"
        return f"no such file; AQA-7's Split_4 holds it, and {fetched}"
    with path.open("rb") as file:
        start = file.read(600)
    if start.startswith(b"MATLAB 7.3") or HDF5 in start:
        again = "save it again as version 7: save(..., '-v7') in MATLAB, scipy.io.savemat in Python"
        return f"a .mat file of version 7.3 (HDF5), which is not read here; {again}"
    try:
        content = scipy.io.loadmat(path, variable_names=[name])
        known = ", ".join(variable for variable, *_ in scipy.io.whosmat(path))
    except Exception as error:  # damaged bytes raise nearly anything
        return f"cannot be read as a .mat file ({one_line(error)}); get it again"
    if name not in content:
        return f"expected the variable {name}, found {one_line(known or 'none')}"
    table = content[name]
    if scipy.sparse.issparse(table):
        return f"{name} is a sparse matrix; save it as a full one, full({name})"
    if table.ndim != 2 or table.shape[1] != 3 or len(table) == 0 or table.dtype.kind not in "iuf":
        found = f"{table.dtype} {list(table.shape)}"
        return f"{name} must be rows of three numbers (class, sample, score), not {found}"
    return table
