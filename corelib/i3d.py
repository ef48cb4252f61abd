"""I3D: Inception-v1 inflated to three dimensions, the encoder of CoRe and of the baseline.

Carreira and Zisserman, "Quo Vadis, Action Recognition?" (2017). The module names are those of the
public PyTorch port hassony2/kinetics_i3d_pytorch, so that its state dict loads strictly.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

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


Size = tuple[int, ...]  # of time, height and width


def same_padding(size: Size, kernel: Size, stride: Size) -> list[tuple[int, int]]:
    """TensorFlow's "SAME" padding, [(front, back)] a dimension, computed from the input's size.

    The total is max(k - s, 0) where the size divides by the stride, else max(k - size mod s, 0);
    the smaller half goes in front.
    """
    padding = []
    for n, k, s in zip(size, kernel, stride, strict=True):
        total = max(k - s, 0) if n % s == 0 else max(k - n % s, 0)
        padding.append((total // 2, total - total // 2))
    return padding


def pad_same(x: Tensor, kernel: Size, stride: Size) -> Tensor:
    """Zero-pad x [B, C, T, H, W] as TensorFlow's "SAME" does."""
    padding = same_padding(x.shape[2:], kernel, stride)
    flat = [amount for pair in reversed(padding) for amount in pair]  # F.pad: last axis first
    return F.pad(x, flat) if any(flat) else x


def conv_by_blocks(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A convolution of stride 2 and an odd kernel as one of stride 1 over blocks of 2 x 2 x 2.

    x [B, C, T, H, W], padded already, weight [O, C, k, k, k] -> what F.conv3d gives with stride 2.
    A block's pixels become channels: 3, of which matrix units waste most, become 24.
    """
    half = [F.pad(x, (0, 1) * 3), F.pad(weight, (0, 1) * 3)]  # both sizes are odd, and now even
    for place, tensor in enumerate(half):
        n, C, *size = tensor.shape
        t, h, w = (side // 2 for side in size)
        blocks = tensor.reshape(n, C, t, 2, h, 2, w, 2).permute(0, 2, 4, 6, 1, 3, 5, 7)
        half[place] = blocks.reshape(n, t, h, w, 8 * C).movedim(4, 1)  # [n, 8 C, t, h, w]
    return F.conv3d(*half, bias)


class Unit3D(nn.Module):
    """Convolution, batch normalisation, ReLU: [B, in, T, H, W] -> [B, out, T', H', W'].

    head  a classification head: a bias in place of batch normalisation, and no ReLU
    """

    def __init__(self, in_channels, out_channels, kernel=1, stride=1, *, eps=1e-3, head=False):
        super().__init__()
        self.kernel, self.stride, self.head = (kernel,) * 3, (stride,) * 3, head
        self.conv3d = nn.Conv3d(in_channels, out_channels, self.kernel, self.stride, bias=head)
        self.batch3d = None if head else nn.BatchNorm3d(out_channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias, norm = self.conv3d.weight, self.conv3d.bias, self.batch3d
        if norm is not None and not norm.training:  # frozen: one pass over the map in place of two
            (weight, bias), norm = self.folded(), None
        if self.stride == (1, 1, 1):  # and an odd kernel: SAME pads evenly, as the convolution can
            padding = [k // 2 for k in self.kernel]
            if x.shape[2] == 2 and padding[0] and x.device.type == "cpu":
                # oneDNN 3.13 has wrong weight gradients here in bf16, but not over padded frames
                x, padding[0] = F.pad(x, (0, 0, 0, 0, padding[0], padding[0])), 0
            x = F.conv3d(x, weight, bias, padding=padding)
        else:
            x = pad_same(x, self.kernel, self.stride)
            # measured: faster in bf16, on an H100 and on a CPU that multiplies it; slower in fp32
            convolve = conv_by_blocks if is_half(x) else partial(F.conv3d, stride=self.stride)
            x = convolve(x, weight, bias)
        if norm is not None:
            x = norm(x)
        return x if self.head else F.relu(x, inplace=True)

    def folded(self) -> tuple[Tensor, Tensor]:
        """The weight and bias of a convolution that has the stored statistics in it.

        (w * x - mean) / sqrt(var + eps) * gain + shift is a convolution with w * scale and a bias.
        """
        norm = self.batch3d
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = self.conv3d.weight * scale.view(-1, 1, 1, 1, 1)
        return weight, norm.bias - norm.running_mean * scale

    @torch.no_grad()
    def fold(self) -> None:
        """Keep the folded convolution in place of both: the same result, for inference."""
        if self.batch3d is not None:
            self.conv3d.weight, self.conv3d.bias = map(nn.Parameter, self.folded())
            self.batch3d = None


def is_half(x: Tensor) -> bool:
    """Whether a convolution of x is computed in 16 bits: by its type, or under autocast."""
    return x.dtype.itemsize == 2 or torch.is_autocast_enabled(x.device.type)


def max_of_neighbours(x: Tensor) -> Tensor:
    """The largest of 3 x 3 x 3 at every place of a map, by frames and then between them.

    x [B, C, T, H, W] -> the same shape. As F.max_pool3d(x, 3, 1, 1), bit by bit, in less time; the
    gradients would take more.
    """
    frames = x.transpose(1, 2).flatten(0, 1)  # [B * T, C, H, W]
    best = F.max_pool2d(frames, 3, 1, 1).unflatten(0, (len(x), -1))  # [B, T, C, H, W]
    result = best.clone()
    result[:, 1:] = torch.maximum(best[:, 1:], best[:, :-1])
    result[:, :-1] = torch.maximum(result[:, :-1], best[:, 1:])
    return result.transpose(1, 2)


class MaxPool3dSame(nn.Module):
    """Max pooling over a zero-padded input, as TensorFlow's "SAME" pads it.

    The input stands behind a ReLU, so a border of zeros and one left out have the same maximum.
    """

    def __init__(self, kernel: Size, stride: Size):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        if (self.kernel, self.stride) == ((3, 3, 3), (1, 1, 1)) and not x.requires_grad:
            return max_of_neighbours(x)
        padding = same_padding(x.shape[2:], self.kernel, self.stride)
        strides = zip(padding, self.stride, strict=True)
        if all(front == back or s > 1 for (front, back), s in strides):
            # ceil_mode: the last window reaches over the end by the row that SAME adds; no copy
            fronts = [front for front, _ in padding]
            return F.max_pool3d(x, self.kernel, self.stride, fronts, ceil_mode=True)
        return F.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """The inflated Inception block: four branches over one input, joined along the channels."""

    def __init__(self, in_channels: int, channels: tuple[int, ...], *, eps: float = 1e-3):
        super().__init__()
        c0, c1a, c1b, c2a, c2b, c3 = channels

        def unit(before: int, after: int, kernel: int = 1) -> Unit3D:
            return Unit3D(before, after, kernel, eps=eps)

        self.branch_0 = unit(in_channels, c0)
        self.branch_1 = nn.Sequential(unit(in_channels, c1a), unit(c1a, c1b, 3))
        self.branch_2 = nn.Sequential(unit(in_channels, c2a), unit(c2a, c2b, 3))
        self.branch_3 = nn.Sequential(MaxPool3dSame((3, 3, 3), (1, 1, 1)), unit(in_channels, c3))
        self.out_channels = c0 + c1b + c2b + c3

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.branch_0, self.branch_1, self.branch_2, self.branch_3)
        return torch.cat([branch(x) for branch in branches], dim=1)  # [B, out_channels, T, H, W]


class I3D(nn.Module):
    """The I3D encoder.

    width        multiplies every channel count; 1.0 is the real one (1024 features)
    eps          of the batch normalisation: 1e-3 as TensorFlow's, 1e-5 in the released CoRe
    num_classes  size of the classification head; 0 leaves it out
    checkpointing  in training, keep the Inception blocks' inputs alone and compute the rest again
                 for the gradients: less memory, about a third more time, the same gradients

    forward: clip [B, 3, T, H, W] -> feature [B, out_features], the mean over the last map. At
    16 x 224 x 224 that map is 2 x 7 x 7; any clip of at least 1 x 1 x 1 works.
    """

    def __init__(self, *, width=1.0, eps=1e-3, num_classes=0, checkpointing=False):
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
                twice = partial(_first_and_second_time, layer)
                x = checkpoint(layer, x, use_reentrant=False, context_fn=twice)
            else:
                x = layer(x)
        return x

    def forward(self, clip: Tensor) -> Tensor:
        return self.feature_map(clip).mean(dim=(2, 3, 4))

    def logits(self, clip: Tensor) -> Tensor:
        """clip [B, 3, T, H, W] -> class scores [B, num_classes], as both public ports have them.

        The head sees the means of all 2 x 7 x 7 windows of the map; a smaller map is one window.
        """
        if not self.num_classes:
            raise ValueError("this I3D was built without a head; build it with num_classes=400")
        x = self.feature_map(clip)  # [B, D, t, h, w]
        for axis, window in zip((2, 3, 4), (2, 7, 7), strict=True):
            x = x.unfold(axis, min(window, x.shape[axis]), 1).mean(dim=-1)
        return self.conv3d_0c_1x1(x).mean(dim=(2, 3, 4))


def _first_and_second_time(module: nn.Module):
    return nullcontext(), _statistics_untouched(module)


@contextmanager
def _statistics_untouched(module: nn.Module):
    """A checkpointed block is computed twice; its batch statistics must not be counted twice."""
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


class SnippetEncoder(nn.Module):
    """I3D over the snippets of a video: [B, S, 3, L, H, W] -> [B, D], the mean over S snippets."""

    def __init__(self, i3d: I3D):
        super().__init__()
        # the layout in which convolutions run fastest
        self.i3d = i3d.to(memory_format=torch.channels_last_3d)
        self.out_features = i3d.out_features

    def forward(self, snippets: Tensor) -> Tensor:
        return self.each(snippets).mean(dim=1)  # [B, D]

    def each(self, snippets: Tensor) -> Tensor:
        """[B, S, 3, L, H, W] -> [B, S, D], before the mean."""
        clips = snippets.flatten(0, 1)  # [B * S, 3, L, H, W]
        features = self.i3d(clips.contiguous(memory_format=torch.channels_last_3d))  # [B * S, D]
        return features.unflatten(0, snippets.shape[:2])

    @torch.no_grad()
    def lean(self, dtype: torch.dtype = torch.float32) -> SnippetEncoder:
        """A copy for inference, two to three times as fast: normalisation folded, `dtype` weights.

        Features are the same to rounding in float32, to a cosine above .999 in bfloat16.
        """
        lean = copy.deepcopy(self).eval()
        for module in lean.modules():
            if isinstance(module, Unit3D):
                module.fold()
        lean.i3d.checkpointing = False
        return lean.to(dtype=dtype, memory_format=torch.channels_last_3d).requires_grad_(False)
