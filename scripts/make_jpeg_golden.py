#!/usr/bin/env python3
"""Writes small JPEG files of many kinds and what libjpeg makes of them, for the tests of the decoder.

    python3 scripts/make_jpeg_golden.py      # needs Pillow, numpy, and cjpeg and jpegtran of libjpeg-turbo

crates/cutmix-vision/tests/jpeg_data has then NAME.jpg and NAME.png, the same image as Pillow decodes it, for each kind.
"""

import io
import pathlib
import subprocess

import numpy as np
from PIL import Image

HOME = pathlib.Path(__file__).resolve().parent.parent / "crates/cutmix-vision/tests/jpeg_data"


def picture(width, height):
    """Gradients, edges and noise."""
    rng = np.random.default_rng(width * height)
    rows, columns = np.mgrid[:height, :width]
    planes = [7 * columns, 255 - 8 * rows, 4 * (rows + columns)]
    image = np.stack(planes, axis=-1) + rng.integers(-25, 26, (height, width, 3))
    image[2:9, 3:14] = (250, 40, 10)
    image[10:20, 15:30] = (20, 60, 200)
    return Image.fromarray(image.clip(0, 255).astype(np.uint8))


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **{"quality": 85, **options})
    return file.getvalue()


def transcoded(file, *options, scans=None):
    """The same coefficients, stored in another way."""
    command = ["jpegtran", *options]
    if scans:
        path = HOME / "scans.txt"
        path.write_text(scans)
        command += ["-scans", str(path)]
    result = subprocess.run(command, input=file, stdout=subprocess.PIPE, check=True).stdout
    if scans:
        path.unlink()
    return result


def with_transform(file, transform):
    """With another colour space in the Adobe segment."""
    start = file.index(b"\xff\xee\x00\x0eAdobe")
    return file[: start + 15] + bytes([transform]) + file[start + 16 :]


def cases():
    image = picture(45, 37)
    for sampling in ("4:4:4", "4:2:2", "4:2:0", "4:1:1", "4:4:0"):
        name = sampling.replace(":", "")
        file = jpeg(image, subsampling="4:4:4" if sampling in ("4:1:1", "4:4:0") else sampling)
        if sampling in ("4:1:1", "4:4:0"):
            # Pillow does not write these.
            factor = {"4:1:1": "4x1", "4:4:0": "1x2"}[sampling]
            ppm = io.BytesIO()
            image.save(ppm, "PPM")
            command = ["cjpeg", "-quality", "85", "-sample", factor]
            file = subprocess.run(command, input=ppm.getvalue(), stdout=subprocess.PIPE, check=True).stdout
        yield f"{name}", file
        yield f"{name}_progressive", transcoded(file, "-progressive")
        yield f"{name}_restart", transcoded(file, "-restart", "2B")
    file = jpeg(image, subsampling="4:2:0")
    yield "420_progressive_restart", transcoded(file, "-progressive", "-restart", "3B")
    yield "420_optimized", transcoded(file, "-optimize")
    yield "420_scans", transcoded(file, scans="0;\n1;\n2;\n")
    yield "420_two_scans", transcoded(file, "-restart", "1", scans="0;\n1 2;\n")
    yield "420_spectral_selection", transcoded(file, scans="0,1,2: 0-0, 0, 0;\n0: 1-63, 0, 0;\n1: 1-63, 0, 0;\n2: 1-63, 0, 0;\n")
    for quality in (5, 50, 100):
        yield f"quality_{quality}", jpeg(image, quality=quality, subsampling="4:2:0")
    for width, height in ((1, 1), (2, 3), (3, 2), (5, 4), (8, 8), (16, 16), (17, 33), (64, 16)):
        yield f"size_{width}_{height}", jpeg(picture(width, height), subsampling="4:2:0")
        yield f"size_{width}_{height}_422", jpeg(picture(width, height), subsampling="4:2:2")
    grey = jpeg(image.convert("L"))
    yield "grey", grey
    yield "grey_progressive", transcoded(grey, "-progressive")
    cmyk = jpeg(image.convert("CMYK"))
    yield "cmyk", cmyk
    yield "cmyk_progressive", transcoded(cmyk, "-progressive")
    yield "ycck", with_transform(cmyk, 2)
    yield "rgb", jpeg(image, keep_rgb=True)


def main():
    HOME.mkdir(exist_ok=True)
    for old in HOME.iterdir():
        old.unlink()
    for name, file in cases():
        (HOME / f"{name}.jpg").write_bytes(file)
        image = Image.open(io.BytesIO(file))
        image = image if image.mode == "L" else image.convert("RGB")
        image.save(HOME / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
