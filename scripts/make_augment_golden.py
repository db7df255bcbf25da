#!/usr/bin/env python3
"""Writes what torchvision does to some small images, with which the tests of the augmentations compare.

    python3 scripts/make_augment_golden.py      # needs torch, torchvision, Pillow, numpy

crates/cutmix-vision/tests/augment_data has then:

transforms.json     the inputs and the transforms, in order, with the sizes of the results
color.png           the inputs and the results one below the other, in RGB
grey.png            the same for the inputs as grey images
magnitudes.json     the spaces of RandAugment and TrivialAugmentWide
distributions.json  quantiles of what RandomResizedCrop draws
"""

import json
import math
import pathlib

import numpy as np
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional as F

HOME = pathlib.Path(__file__).resolve().parent.parent / "crates/cutmix-vision/tests/augment_data"
FILL = (10, 200, 90)
QUANTILES = 500
DRAWS = 200_000


def inputs():
    """Images with gradients, noise and flat areas: one of odd size, one of low contrast, a square."""
    rng = np.random.default_rng(7)

    def gradients(height, width, noise):
        rows, columns = np.mgrid[:height, :width]
        planes = [7 * columns, 255 - 8 * rows, 4 * (rows + columns)]
        image = np.stack(planes, axis=-1) + rng.integers(-noise, noise + 1, (height, width, 3))
        image[2:9, 3:14] = (250, 40, 10)
        image[12:20, 5:9] = 128
        return image.clip(0, 255).astype(np.uint8)

    dull = 90 + gradients(18, 23, 30) // 5
    return {"photo": gradients(29, 37, 12), "dull": dull, "square": gradients(24, 24, 4)}


def size(height, width):
    return {"height": height, "width": width}


def rect(top, left, height, width):
    return {"top": top, "left": left, **size(height, width)}


def erase(image, top, left, height, width, fill):
    value = torch.tensor(fill, dtype=torch.uint8)[:, None, None]
    return F.to_pil_image(F.erase(F.pil_to_tensor(image), top, left, height, width, value))


def cases():
    """The name of an input, the transform as this project writes it, and what torchvision does."""
    plain = {
        "mirror-horizontally": F.hflip,
        "mirror-vertically": F.vflip,
        "auto-contrast": F.autocontrast,
        "equalize": F.equalize,
        "invert": F.invert,
        "grayscale": lambda image: F.to_grayscale(image, len(image.getbands())),
    }
    for transform, function in plain.items():
        yield "photo", {"transform": transform}, lambda image, _, f=function: f(image)
        yield "dull", {"transform": transform}, lambda image, _, f=function: f(image)
    factors = {
        "brightness": F.adjust_brightness,
        "contrast": F.adjust_contrast,
        "saturation": F.adjust_saturation,
        "sharpness": F.adjust_sharpness,
    }
    for transform, function in factors.items():
        for factor in (0.0, 0.37, 1.0, 1.63):
            call = lambda image, _, f=function, x=factor: f(image, x)
            yield "photo", {"transform": {transform: factor}}, call
    for share in (-0.5, -0.21, 0.0, 0.07, 0.43):
        call = lambda image, _, x=share: F.adjust_hue(image, x)
        yield "photo", {"transform": {"hue": share}}, call
    for bits in (1, 3, 6, 8):
        call = lambda image, _, x=bits: F.posterize(image, x)
        yield "photo", {"transform": {"posterize": bits}}, call
    for threshold in (0, 77, 128, 255):
        call = lambda image, _, x=threshold: F.solarize(image, x)
        yield "photo", {"transform": {"solarize": threshold}}, call

    crops = [
        ("photo", (3, 5, 17, 23), (12, 12)),
        ("photo", (0, 0, 29, 37), (14, 31)),
        ("photo", (2, 1, 9, 14), (21, 40)),
        ("photo", (7, 11, 16, 16), (16, 16)),
        ("dull", (17, 0, 1, 23), (5, 9)),
    ]
    for name, box, to in crops:
        transform = {"crop": {"region": rect(*box), "to": size(*to)}}
        yield name, {"transform": transform}, lambda image, _, b=box, t=to: F.resized_crop(image, *b, t)
    for top, left in ((3, -5), (-9, 0), (40, 1)):
        place = {"canvas": size(29, 37), "top": top, "left": left, "fill": FILL}
        move = lambda image, fill, t=[left, top]: F.affine(image, 0.0, t, 1.0, [0.0, 0.0], fill=fill)
        yield "photo", {"transform": {"place": place}}, move
    place = {"canvas": size(30, 34), "top": 4, "left": 7, "fill": FILL}
    pad = lambda image, fill: F.pad(image, [7, 4, 4, 8], fill=fill)
    yield "dull", {"transform": {"place": place}}, pad
    box = (4, 9, 11, 6)
    transform = {"erase": {"region": rect(*box), "fill": FILL}}
    yield "photo", {"transform": transform}, lambda image, fill: erase(image, *box, fill)

    for name, degrees in [("photo", d) for d in (4.5, 30.0, -77.0, 135.0, 180.0)] + [("square", 90.0)]:
        turn = lambda image, fill, d=degrees: F.rotate(image, d, fill=fill)
        yield name, {"rotation": degrees}, turn
    for shear in (-0.99, -0.12, 0.3, 0.627):
        angle = math.degrees(math.atan(shear))
        for key, angles in (("shear-horizontally", [angle, 0.0]), ("shear-vertically", [0.0, angle])):
            call = lambda image, fill, s=angles: F.affine(
                image, 0.0, [0, 0], 1.0, s, fill=fill, center=[0, 0]
            )
            yield "photo", {key: shear}, call
    for name, resized, kept in (("photo", 33, 28), ("dull", 16, 14), ("square", 20, 20)):
        crop = {"target": size(kept, kept), "share": kept / resized}
        call = lambda image, _, r=resized, k=kept: F.center_crop(F.resize(image, r), k)
        yield name, {"centre-crop": crop}, call


def write_sheet(path, images):
    """Writes images one below the other."""
    sheet = Image.new(images[0].mode, (max(i.width for i in images), sum(i.height for i in images)))
    top = 0
    for image in images:
        sheet.paste(image, (0, top))
        top += image.height
    sheet.save(path, optimize=True)


def write_transforms():
    color = {name: Image.fromarray(pixels) for name, pixels in inputs().items()}
    grey = {name: image.convert("L") for name, image in color.items()}
    grey_fill = Image.new("RGB", (1, 1), FILL).convert("L").getpixel((0, 0))
    listed = list(cases())
    for path, sources, fill in (("color.png", color, FILL), ("grey.png", grey, (grey_fill,))):
        results = [call(sources[name], list(fill)) for name, _, call in listed]
        write_sheet(HOME / path, list(sources.values()) + results)
    of = lambda image: size(image.height, image.width)
    described = [
        {"input": name, "transform": transform, "size": of(result)}
        for (name, transform, _), result in zip(listed, results)
    ]
    sources = [{"name": name, "size": of(image)} for name, image in color.items()]
    data = {"fill": FILL, "inputs": sources, "cases": described}
    write_json("transforms.json", data)


def write_magnitudes():
    space = {"size": size(29, 37)}
    spaces = {
        "rand-augment": transforms.RandAugment()._augmentation_space(31, (29, 37)),
        "trivial-augment": transforms.TrivialAugmentWide()._augmentation_space(31),
    }
    for name, operations in spaces.items():
        space[name] = {
            operation: {
                "magnitudes": [round(m, 5) for m in magnitudes.reshape(-1).tolist()],
                "signed": signed,
            }
            for operation, (magnitudes, signed) in operations.items()
        }
    write_json("magnitudes.json", space)


def write_distributions():
    torch.manual_seed(7)
    distributions = []
    cases = (
        (3000, 4000, (0.08, 1.0), (3 / 4, 4 / 3)),
        (60, 200, (0.35, 1.0), (0.5, 2.5)),
        (400, 41, (0.9, 1.0), (3 / 4, 4 / 3)),
    )
    for height, width, scale, ratio in cases:
        image = Image.new("L", (width, height))
        get = transforms.RandomResizedCrop.get_params
        boxes = np.array([get(image, scale, ratio) for _ in range(DRAWS)], dtype=float)
        top, left, rows, columns = boxes.T
        values = {
            "area": rows * columns / (height * width),
            "log-ratio": np.log(columns / rows),
            "middle": (top + left + (rows + columns) / 2) / (height + width),
        }
        at = (np.arange(QUANTILES) + 0.5) / QUANTILES
        quantiles = {
            name: np.quantile(value, at, method="inverted_cdf").round(6).tolist()
            for name, value in values.items()
        }
        drawn = {"scale": f"{scale[0]}..{scale[1]}", "ratio": f"{ratio[0]}..{ratio[1]}"}
        distributions.append({"size": size(height, width), **drawn, "quantiles": quantiles})
    write_json("distributions.json", distributions)


def write_json(name, data):
    (HOME / name).write_text(json.dumps(data, separators=(",", ":")).replace("{\"input", "\n{\"input") + "\n")


if __name__ == "__main__":
    HOME.mkdir(exist_ok=True)
    write_transforms()
    write_magnitudes()
    write_distributions()
