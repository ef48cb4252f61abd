"""The recipe: one frozen dataclass with every knob a training run depends on, and the named
recipes."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral, Real

from corelib.machine.errors import KitError
from corelib.machine.messages import one_line

MOST_SEEDS = 1000


class RecipeError(KitError, ValueError):
    """A knob or recipe that does not exist, or a value that does not fit; the message names the
    nearest valid one."""


# Of each knob with a number, in the order of the fields: the least and the largest value, both
# allowed. Beyond them a training cannot begin, has no meaning, or asks for more than a machine has.
# A float stands for a knob that takes floats.
RANGES = {
    "seed": (0, 2**32 - 1), "fold": (0, 10**6),
    "frames": (1, 10**4), "resize": (1, 1024), "crop": (1, 1024), "temporal_shift": (0, 1000),
    "snippet_length": (1, 1000), "snippet_starts": (0, 10**4),
    "width": (0.01, 4.0), "batchnorm_eps": (1e-12, 1.0), "projection": (1, 10**5), "stretches": (1, 1000), "dropout": (0.0, 0.99),
    "exemplars": (1, 10**6), "passes": (1, 1000),
    "depth": (2, 10), "tree_width": (1, 1024), "theta": (1e-9, 1e9), "tie_tolerance": (0.0, 1e9),
    "learning_rate": (1e-30, 1e30), "encoder_rate_factor": (0.0, 1e30), "weight_decay": (0.0, 1e30), "clip_gradient": (0.0, 1e30),
    "epochs": (1, 10**5), "least_steps": (0, 10**7), "batch": (1, 10**5), "accumulate": (1, 10**5),
    "validation_fraction": (0.0, 0.9), "validate_every": (1, 10**5),
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """Every knob of a training run. The defaults are the kit's own choices; `named("paper")` is the
    paper's."""

    name: str = "custom"
    system: str = "core"  # core | mlp
    with_difficulty: bool = False  # regress score / difficulty, multiply by it at the end
    seed: int = 0
    fold: int | None = None  # of a dataset divided into folds: the one tested on
    target_unit: str = (
        "score"  # score: the dataset's own | percent of the class's range (the paper on AQA-7)
    )

    # clips
    frames: int = 32  # frames a video
    frame_choice: str = (
        "resample"  # resample: spread over the whole range | last: the last ones before its end
    )
    resize: tuple[int, int] | None = None  # (height, width) of the stored frames; None keeps them
    crop: int = 64  # pixels, square: random in training, central in evaluation
    flip: bool = True
    temporal_shift: int = 1  # frames, drawn from -shift .. shift in training
    snippet_length: int = 16
    snippet_starts: tuple[int, ...] = (0, 16)
    normalisation: str = "kinetics"  # kinetics: [-1, 1] | imagenet: channel mean and deviation

    # encoder
    encoder: str = "i3d"  # i3d | projection (of precomputed features)
    width: float = 0.25  # of I3D's channels
    weights: str = ""  # a file of Kinetics weights; empty starts from random numbers
    batchnorm: str = "free"  # free | frozen statistics
    batchnorm_eps: float = 1e-3
    projection: int = 128  # features a stretch of the projection encoder
    stretches: int = 2  # of time, averaged apart and joined (projection encoder)
    dropout: float = 0.0  # before the head

    # pairs and exemplars
    pair_by: str = (
        "auto"  # auto: the dataset's pairing key where difficulty is used | none | a column
    )
    # batch: all ordered pairs of a batch's groups | two: one exemplar a query (the paper)
    pairing: str = "batch"
    exemplars: int = 10  # M
    # how often an epoch of "batch" draws each video: as often as "two", as query and as exemplar
    passes: int = 2
    fill_exemplars: bool = True  # fill groups smaller than M from the nearest difficulty

    # score groups, tree, decoding
    head: str = (
        "tree"  # tree | direct: one regression of the difference (to see what the tree is worth)
    )
    exemplar_score: bool = True  # the head sees the exemplar's score
    depth: int = 5  # 2 ** (depth - 1) leaves
    tree_width: int = 256
    # initial weights: he (signals keep their size down to the leaves) | torch (its default)
    tree_start: str = "he"
    theta: float | None = (
        None  # divides the exemplar's score; None: the standard deviation of the training targets
    )
    intervals: str = "quantile"  # quantile: equally many pairs (the paper) | equal: of equal width
    outer_edge: str = (
        "data"  # data: the largest training difference, clamped beyond | theta (the paper)
    )
    tie_tolerance: float = 1e-4  # score units
    zero_side: str = "mirrored"  # mirrored | positive
    close_empty: bool = True
    decoding: str = "expected"  # expected | most_probable

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
    precision: str = (
        "auto"  # fp32 | bf16 (autocast in training) | auto: bf16 where the processor multiplies it
    )
    # torch.compile for training and encoding: minutes at the start, faster afterwards on GPUs
    compile: bool = False
    checkpointing: bool = (
        False  # compute activations again instead of storing them: less memory, a third more time
    )
    validation_fraction: float = 0.15  # of the training split, where the dataset has no val rows
    validate_every: int = 1  # epochs
    refit: bool = (
        False  # once the epoch is chosen, train anew on the validation part too (for small data)
    )

    def __post_init__(self):
        choices = {
            "system": ("core", "mlp"),
            "target_unit": ("score", "percent"),
            "frame_choice": ("resample", "last"),
            "encoder": ("i3d", "projection"),
            "normalisation": ("kinetics", "imagenet"),
            "batchnorm": ("free", "frozen"),
            "pairing": ("batch", "two"),
            "head": ("tree", "direct"),
            "intervals": ("quantile", "equal"),
            "outer_edge": ("data", "theta"),
            "zero_side": ("mirrored", "positive"),
            "loss": ("mean", "leaf_sums"),
            "tree_start": ("he", "torch"),
            "decoding": ("expected", "most_probable"),
            "optimizer": ("adamw", "adam"),
            "schedule": ("onecycle", "constant"),
            "precision": ("auto", "fp32", "bf16"),
        }
        for key, allowed in choices.items():
            if getattr(self, key) not in allowed:
                raise RecipeError(
                    f"{key} must be one of {', '.join(allowed)}, not {getattr(self, key)!r}"
                )
        for key, (low, high) in RANGES.items():
            value = getattr(self, key)
            items = value if isinstance(value, (tuple, list)) else () if value is None else (value,)
            if not all(
                isinstance(item, Integral if isinstance(low, int) else Real) and low <= item <= high
                for item in items
            ):
                raise RecipeError(f"{key} must lie between {low} and {high}, not {one_line(value)}")
        if self.resize is not None and len(self.resize) != 2:
            raise RecipeError(
                f"resize must be [height, width] in pixels, or none, not {list(self.resize)}"
            )
        if self.resize is not None and self.encoder == "i3d" and self.crop > min(self.resize):
            raise RecipeError(
                f"a crop of {self.crop} pixels does not fit into frames resized to"
                f" {list(self.resize)}; change crop or resize"
            )
        if not 1 <= len(self.snippet_starts) <= self.frames:
            raise RecipeError(
                f"snippet_starts must list 1 to {self.frames} frames (as many as frames says), not"
                f" {len(self.snippet_starts)}"
            )
        if self.temporal_shift >= self.frames:
            raise RecipeError(
                f"temporal_shift must lie between 0 and {self.frames - 1} (below frames), not"
                f" {self.temporal_shift}"
            )
        if self.encoder == "i3d" and max(self.snippet_starts) + self.snippet_length > self.frames:
            raise RecipeError(
                f"a snippet of {self.snippet_length} frames that starts at"
                f" {max(self.snippet_starts)} does not fit into {self.frames} frames; change"
                " frames, snippet_length or snippet_starts"
            )
        if self.target_unit == "percent" and self.with_difficulty:
            raise RecipeError(
                "target_unit=percent and with_difficulty exclude each other: an execution score has"
                " its own range"
            )

    def replace(self, **changes) -> Recipe:
        """A copy with some knobs changed. Raises RecipeError for a knob that does not exist."""
        known = [field.name for field in dataclasses.fields(self)]
        for key in changes:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
                raise RecipeError(f"a recipe has no knob {key!r}; the nearest is {near!r}")
        return dataclasses.replace(
            self, **{key: _as_field(key, value) for key, value in changes.items()}
        )

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
            value = (
                json.loads(value.lower() if value.lower() in ("true", "false", "none") else value)
                if value.lower() != "none"
                else None
            )
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
    "frames": 103, "frame_choice": "last", "resize": (455, 256), "crop": 224, "flip": True, "temporal_shift": 3,
    "snippet_length": 16, "snippet_starts": (0, 10, 20, 30, 40, 50, 60, 70, 80, 86), "normalisation": "imagenet",
    "width": 1.0, "batchnorm": "frozen", "batchnorm_eps": 1e-5, "pairing": "two", "exemplars": 10,
    "fill_exemplars": False, "depth": 5, "tree_width": 256, "tree_start": "torch", "theta": 100.0, "outer_edge": "theta",
    "tie_tolerance": 0.0, "zero_side": "positive", "close_empty": False, "decoding": "most_probable",
    "loss": "leaf_sums", "optimizer": "adam", "learning_rate": 1e-3, "encoder_rate_factor": 0.1,
    "weight_decay": 0.0, "schedule": "constant", "clip_gradient": 0.0, "epochs": 200, "batch": 1, "accumulate": 2,
    "divide_accumulated": False, "precision": "fp32",
}  # fmt: skip

RECIPES = {
    # every line of the code in seconds
    "smoke": {"frames": 16, "snippet_starts": (0,), "crop": 32, "width": 0.0625, "tree_width": 16, "depth": 3, "epochs": 2, "projection": 16, "precision": "fp32"},  # fmt: skip
    # a real result on two cores
    "laptop": {"tree_width": 64, "batch": 8, "epochs": 15, "validate_every": 3},
    # the paper's setting with the kit's own choices
    "gpu": {
        "frames": 103, "crop": 224, "temporal_shift": 3,
        "snippet_starts": (0, 10, 20, 30, 40, 50, 60, 70, 80, 86), "width": 1.0,
        "encoder_rate_factor": 0.1, "batch": 8, "epochs": 30,
    },
    # the published model, to compare with number by number (theta is 30 with difficulty, 100
    # without)
    "paper": _PAPER,
    # precomputed features instead of videos
    "features": {
        "encoder": "projection", "dropout": 0.3, "depth": 4, "tree_width": 32, "batch": 16,
        "passes": 1, "epochs": 30, "least_steps": 300, "validate_every": 15, "refit": True,
        "precision": "fp32",
    },
}  # fmt: skip


def named(name: str, /, **changes) -> Recipe:
    """A named recipe (smoke, laptop, gpu, paper, features) with some knobs changed.

    With epochs among them, these alone count: least_steps is then 0 unless it is named too.

    Raises RecipeError for an unknown name or knob, naming the nearest valid one.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.0)[0]
        raise RecipeError(
            f"there is no recipe {name!r}; the nearest is {near!r} (all: {', '.join(RECIPES)})"
        )
    values = {"name": name, **RECIPES[name]}
    if name == "paper" and _as_field("with_difficulty", changes.get("with_difficulty", False)):
        values["theta"] = 30.0
    if "epochs" in changes:  # who names a number of epochs means it
        values["least_steps"] = 0
    return Recipe(**values).replace(**changes)


def parse_knobs(knobs: Iterable[str], option: str = "--set") -> dict[str, str]:
    """["epochs=3", "theta=none"] -> {"epochs": "3", "theta": "none"}. Raises RecipeError for one
    without a name or `=`."""
    for knob in knobs:
        if not knob.partition("=")[0] or "=" not in knob:
            raise RecipeError(f"{option} takes key=value, not {one_line(repr(knob))}")
    return dict(knob.split("=", 1) for knob in knobs)


def parse_seeds(text: str) -> list[int]:
    """ "0-2,7" -> [0, 1, 2, 7]. Raises RecipeError for anything else."""
    seeds: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            seeds += range(int(first), int(last or first) + 1)[: MOST_SEEDS + 1]
    except ValueError:
        seeds = []
    if not seeds:
        raise RecipeError(
            "--seeds takes numbers and rising ranges such as 0-4 or 0-2,7, not"
            f" {one_line(repr(text))}"
        )
    if len(seeds) > MOST_SEEDS or max(seeds) > RANGES["seed"][1]:
        raise RecipeError(
            f"--seeds takes at most {MOST_SEEDS} numbers from 0 to {RANGES['seed'][1]}, not"
            f" {one_line(repr(text))}"
        )
    return list(dict.fromkeys(seeds))


def parse_exemplars(asked: int | str | None) -> int | str | None:
    """How many exemplars vote, wherever that is asked: a number above 0 (or its text), "all" of the
    query's group, or None for the recipe's. Raises RecipeError for anything else."""
    if asked in (None, "all"):
        return asked
    with suppress(ValueError, TypeError, OverflowError):
        if not isinstance(asked, bool) and float(asked) > 0:
            return _whole(float(asked))
    raise RecipeError(
        f"exemplars (--exemplars) must be a number above 0 or 'all', not {one_line(repr(asked))}"
    )
