"""The recipe: one frozen dataclass with every knob of a training run, and the named recipes."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral, Real

from corelib.machine.errors import KitError
from corelib.machine.messages import one_line


class RecipeError(KitError, ValueError):
    """A knob, recipe or value that does not exist; the message names the nearest valid one."""


# Of each knob with a number the least and the largest value, both allowed. Beyond them a training
# cannot begin, has no meaning, or asks for more than a machine has. A float: the knob takes floats.
RANGES = {
    "seed": (0, 2**32 - 1), "fold": (0, 10**6), "frames": (1, 10**4), "resize": (1, 1024),
    "crop": (1, 1024), "temporal_shift": (0, 1000), "snippet_length": (1, 1000),
    "snippet_starts": (0, 10**4), "width": (0.01, 4.0), "batchnorm_eps": (1e-12, 1.0),
    "projection": (1, 10**5), "stretches": (1, 1000), "dropout": (0.0, 0.99),
    "exemplars": (1, 10**6), "passes": (1, 1000), "depth": (2, 10), "tree_width": (1, 1024),
    "theta": (1e-9, 1e9), "tie_tolerance": (0.0, 1e9), "kernel_gamma": (1e-9, 1e9),
    "kernel_alpha": (1e-12, 1e9), "kernel_coordinates": (0, 10**5), "learning_rate": (1e-30, 1e30),
    "encoder_rate_factor": (0.0, 1e30), "weight_decay": (0.0, 1e30), "clip_gradient": (0.0, 1e30),
    "epochs": (1, 10**5), "least_steps": (0, 10**7), "batch": (1, 10**5), "accumulate": (1, 10**5),
    "validation_fraction": (0.0, 0.9), "validate_every": (1, 10**5),
}  # fmt: skip
SYSTEMS = {"core": "CoRe", "mlp": "I3D+MLP", "kernel": "Kernel ridge"}  # as tables name them
CHOICES = {
    "system": tuple(SYSTEMS), "target_unit": ("score", "percent"),
    "frame_choice": ("resample", "last"), "encoder": ("i3d", "projection", "frozen"),
    "normalisation": ("kinetics", "imagenet"), "batchnorm": ("free", "frozen"),
    "pairing": ("batch", "two"), "head": ("tree", "direct"), "intervals": ("quantile", "equal"),
    "outer_edge": ("data", "theta"), "zero_side": ("mirrored", "positive"),
    "loss": ("mean", "leaf_sums"), "tree_start": ("he", "torch"),
    "decoding": ("expected", "most_probable"),  # rules of tree.ScoreGroups: decode_<name>
    "optimizer": ("adamw", "adam"), "schedule": ("onecycle", "constant"),
    "precision": ("auto", "fp32", "bf16"),
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """Every knob of a training run, in the order of the data's path.

    The defaults are the kit's own choices; `named("paper")` is the paper's.
    """

    name: str = "custom"
    system: str = "core"  # core | mlp | kernel (of features, or on a frozen encoder)
    with_difficulty: bool = False  # regress score / difficulty, multiply by it at the end
    seed: int = 0
    fold: int | None = None  # of a dataset divided into folds: the one tested on
    target_unit: str = "score"  # the dataset's own | percent: of the class's range (AQA-7)

    # clips
    frames: int = 32  # frames a video
    frame_choice: str = "resample"  # over the whole range | last: the last ones before its end
    resize: tuple[int, int] | None = None  # (height, width) of the stored frames; None keeps them
    crop: int = 64  # pixels, square: random in training, central in evaluation
    flip: bool = True
    temporal_shift: int = 1  # frames, drawn from -shift .. shift in training
    snippet_length: int = 16
    snippet_starts: tuple[int, ...] = (0, 16)
    normalisation: str = "kinetics"  # kinetics: [-1, 1] | imagenet: channel mean and deviation

    # encoder
    encoder: str = "i3d"  # i3d | projection (of features) | frozen (a fixed I3D, projected)
    width: float = 0.25  # of I3D's channels
    weights: str = ""  # a file of Kinetics weights; empty starts from random numbers
    batchnorm: str = "free"  # free | frozen statistics
    batchnorm_eps: float = 1e-3
    projection: int = 128  # features a stretch, where features are projected
    stretches: int = 2  # of time, averaged apart and joined (where features are projected)
    dropout: float = 0.0  # before the head

    # pairs and exemplars
    pair_by: str = "auto"  # auto: the dataset's key where difficulty is used | none | a column
    pairing: str = "batch"  # all ordered pairs of a batch's groups | two: one exemplar a query
    exemplars: int = 10  # M
    passes: int = 2  # of an epoch of "batch" over the videos: as many encodings as "two" has
    fill_exemplars: bool = True  # fill groups smaller than M from the nearest difficulty

    # score groups, tree, decoding
    head: str = "tree"  # tree | direct: one regression of the difference, to see the tree's worth
    exemplar_score: bool = True  # the head sees the exemplar's score
    depth: int = 5  # 2 ** (depth - 1) leaves
    tree_width: int = 256
    tree_start: str = "he"  # initial weights: he (signals keep their size) | torch (its default)
    theta: float | None = None  # divides the exemplar's score; None: the targets' deviation
    intervals: str = "quantile"  # quantile: equally many pairs (the paper) | equal: of equal width
    outer_edge: str = "data"  # the largest training difference, clamped beyond | theta (the paper)
    tie_tolerance: float = 1e-4  # score units
    zero_side: str = "mirrored"  # mirrored | positive
    close_empty: bool = True
    decoding: str = "expected"  # expected | most_probable

    # likeness
    kernel_gamma: float = 0.5  # likeness is exp(-gamma d^2 / the training pairs' mean d^2)
    kernel_alpha: float = 0.01  # the ridge of the system kernel
    kernel_coordinates: int = 0  # so many are read in place of features; 0: the features

    # loss and optimisation
    loss: str = "mean"  # mean over all pairs | leaf_sums: by order and leaf, summed (the paper)
    optimizer: str = "adamw"  # adamw | adam
    learning_rate: float = 1e-3
    encoder_rate_factor: float = 1.0  # the encoder learns at learning_rate times this
    weight_decay: float = 1e-2
    schedule: str = "onecycle"  # onecycle | constant
    clip_gradient: float = 1.0  # largest gradient norm; 0 does not clip
    epochs: int = 20
    least_steps: int = 0  # of the optimizer; epochs that give fewer go through the data more often
    batch: int = 16  # videos ("batch" pairing and mlp) or pairs ("two")
    accumulate: int = 1  # batches an optimizer step
    divide_accumulated: bool = True  # divide the loss by `accumulate`
    precision: str = "auto"  # fp32 | bf16 (autocast in training) | auto: bf16 where it is fast
    compile: bool = False  # torch.compile: minutes at the start, faster afterwards on GPUs
    checkpointing: bool = False  # compute activations twice: less memory, a third more time
    validation_fraction: float = 0.15  # of the training split, where the dataset has no val rows
    validate_every: int = 1  # epochs
    refit: bool = False  # once the epoch is chosen, train anew on the held-back rows too

    def __post_init__(self):
        for key, allowed in CHOICES.items():
            if (value := getattr(self, key)) not in allowed:
                raise RecipeError(f"{key} must be one of {', '.join(allowed)}, not {value!r}")
        for key, (low, high) in RANGES.items():
            value, kind = getattr(self, key), Integral if isinstance(low, int) else Real
            items = value if isinstance(value, (tuple, list)) else () if value is None else (value,)
            if not all(isinstance(item, kind) and low <= item <= high for item in items):
                raise RecipeError(f"{key} must lie between {low} and {high}, not {one_line(value)}")
        if self.system == "kernel" and self.encoder == "i3d":
            raise RecipeError("system=kernel learns from features: take recipe features or frozen")
        self._check_clips()
        if self.target_unit == "percent" and self.with_difficulty:
            why = "an execution score has its own range"
            raise RecipeError(f"target_unit=percent and with_difficulty exclude each other: {why}")

    def _check_clips(self):
        size, starts, video = self.resize, self.snippet_starts, self.encoder != "projection"
        if size is not None and len(size) != 2:
            raise RecipeError(
                f"resize must be [height, width] in pixels, or none, not {list(size)}"
            )
        if size is not None and video and self.crop > min(size):
            wide = f"a crop of {self.crop} pixels does not fit into frames resized to {list(size)}"
            raise RecipeError(f"{wide}; change crop or resize")
        if not 1 <= len(starts) <= self.frames:
            right = f"1 to {self.frames} frames (as many as frames says)"
            raise RecipeError(f"snippet_starts must list {right}, not {len(starts)}")
        if self.temporal_shift >= self.frames:
            right = f"between 0 and {self.frames - 1} (below frames)"
            raise RecipeError(f"temporal_shift must lie {right}, not {self.temporal_shift}")
        if video and max(starts) + self.snippet_length > self.frames:
            raise RecipeError(
                f"a snippet of {self.snippet_length} frames that starts at {max(starts)} does not"
                f" fit into {self.frames} frames; change frames, snippet_length or snippet_starts"
            )

    def replace(self, **changes) -> Recipe:
        """A copy with some knobs changed. Raises RecipeError for a knob that does not exist."""
        known = [field.name for field in dataclasses.fields(self)]
        for key in changes:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
                raise RecipeError(f"a recipe has no knob {key!r}; the nearest is {near!r}")
        values = {key: _as_field(key, value) for key, value in changes.items()}
        return dataclasses.replace(self, **values)

    def to_dict(self) -> dict:
        """Plain values, for JSON."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: dict) -> Recipe:
        """The recipe that `to_dict` wrote."""
        return cls().replace(**values)

    @property
    def digest(self) -> str:
        """Eight characters that change with any knob but the name."""
        values = {key: value for key, value in self.to_dict().items() if key != "name"}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def _as_field(key: str, value):
    """Text (from a command line) or a JSON value -> the field's own type."""
    annotation = {field.name: field.type for field in dataclasses.fields(Recipe)}[key]
    try:
        if isinstance(value, str) and annotation != "str":
            plain = value.lower()
            if plain == "none":
                value = None
            else:
                value = json.loads(plain if plain in ("true", "false") else value)
        if value is None:
            if "None" in annotation:
                return None
            raise ValueError
        if annotation.startswith("tuple"):
            return tuple(_whole(item) for item in value)
        kind = {"bool": bool, "int": int, "float": float, "str": str}[annotation.split(" |")[0]]
        if isinstance(value, bool) != (kind is bool):
            raise ValueError
        return _whole(value) if kind is int else kind(value)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise RecipeError(f"{key} must be {annotation}, not {one_line(repr(value))}") from None


def _whole(number) -> int:
    if isinstance(number, bool) or int(number) != number:
        raise ValueError
    return int(number)


# The published model. Where the kit departs from the released program on purpose: the epoch is
# chosen on a validation part of the training split (refit=true trains on all of it afterwards);
# test exemplars are drawn by a seed; every video is encoded once; a group too small has fewer
# exemplars, one of a difficulty never seen takes the nearest; a sample alone in its group is not
# paired, where the program compares it with itself; a shift that would leave the video is held at
# its border; an odd last batch is an update of its own, where the program adds it to the next
# epoch's first. I3D's padding follows the input's size, which at 224 pixels is the same. I3D+MLP's
# head is the kit's: none was released.
_PAPER = {
    "frames": 103, "frame_choice": "last", "resize": (455, 256), "crop": 224, "flip": True,
    "temporal_shift": 3, "normalisation": "imagenet", "snippet_length": 16,
    "snippet_starts": (0, 10, 20, 30, 40, 50, 60, 70, 80, 86),
    "width": 1.0, "batchnorm": "frozen", "batchnorm_eps": 1e-5, "pairing": "two", "exemplars": 10,
    "fill_exemplars": False, "depth": 5, "tree_width": 256, "tree_start": "torch", "theta": 100.0,
    "outer_edge": "theta", "tie_tolerance": 0.0, "zero_side": "positive", "close_empty": False,
    "decoding": "most_probable", "loss": "leaf_sums", "optimizer": "adam", "learning_rate": 1e-3,
    "encoder_rate_factor": 0.1, "weight_decay": 0.0, "schedule": "constant", "clip_gradient": 0.0,
    "epochs": 200, "batch": 1, "accumulate": 2, "divide_accumulated": False, "precision": "fp32",
}  # fmt: skip
RECIPES = {
    "smoke": {  # every line of the code in seconds
        "frames": 16, "snippet_starts": (0,), "crop": 32, "width": 0.0625, "projection": 16,
        "depth": 3, "tree_width": 16, "epochs": 2, "precision": "fp32",
    },
    "laptop": {"tree_width": 64, "batch": 8, "epochs": 15, "validate_every": 3},  # on two cores
    "gpu": {  # the paper's setting with the kit's own choices
        "frames": 103, "crop": 224, "temporal_shift": 3, "width": 1.0,
        "snippet_starts": (0, 10, 20, 30, 40, 50, 60, 70, 80, 86),
        "encoder_rate_factor": 0.1, "batch": 8, "epochs": 30,
    },
    "paper": _PAPER,  # to compare number by number (theta is 30 with difficulty, 100 without)
    "features": {  # precomputed features instead of videos
        "encoder": "projection", "stretches": 5, "dropout": 0.3, "depth": 4, "tree_width": 32,
        "batch": 16, "passes": 1, "epochs": 30, "least_steps": 300, "validate_every": 15,
        "refit": True, "precision": "fp32",
    },
}  # fmt: skip
RECIPES["frozen"] = RECIPES["features"] | {  # the same head on a pretrained I3D that stays as it is
    "encoder": "frozen", "width": 1.0, "frames": 36, "snippet_starts": (0, 5, 10, 15, 20),
    "resize": (112, 112), "crop": 112, "flip": False, "temporal_shift": 0, "precision": "auto",
}  # fmt: skip
RECIPES["likeness"] = RECIPES["features"] | {  # of few rows: their places in the kernel are read
    "kernel_coordinates": 300, "projection": 64, "dropout": 0.0, "batch": 32, "epochs": 20,
    "least_steps": 0, "validate_every": 20, "learning_rate": 3e-3,
}  # fmt: skip


def named(name: str, /, **changes) -> Recipe:
    """One of RECIPES by its name, with some knobs changed.

    With epochs among them, these alone count: least_steps is then 0 unless it is named too.

    Raises RecipeError for an unknown name or knob, naming the nearest valid one.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.0)[0]
        known = f"the nearest is {near!r} (all: {', '.join(RECIPES)})"
        raise RecipeError(f"there is no recipe {name!r}; {known}")
    values = {"name": name, **RECIPES[name]}
    if name == "paper" and _as_field("with_difficulty", changes.get("with_difficulty", False)):
        values["theta"] = 30.0
    if "epochs" in changes:  # who names a number of epochs means it
        values["least_steps"] = 0
    return Recipe(**values).replace(**changes)


def parse_exemplars(asked: int | str | None) -> int | str | None:
    """How many exemplars vote: a number above 0 (or its text), "all" of the query's group, or None.

    None is the recipe's number. Raises RecipeError for anything else.
    """
    if asked in (None, "all"):
        return asked
    with suppress(ValueError, TypeError, OverflowError):
        if not isinstance(asked, bool) and float(asked) > 0:
            return _whole(float(asked))
    right = "a number above 0 or 'all'"
    raise RecipeError(f"exemplars (--exemplars) must be {right}, not {one_line(repr(asked))}")
