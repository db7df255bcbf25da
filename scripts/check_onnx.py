"""Classifies images with an ONNX model that `cutmix export` wrote.

    pip install -r scripts/requirements-onnx.txt
    cutmix export runs/001
    python scripts/check_onnx.py runs/001/model.onnx IMAGE...

Images are prepared as the metadata of the model say. Each becomes a line of JSON with its
probabilities, which are those of `cutmix predict`; where an image is resized, they differ by the
rounding of pixels. All images are one batch. 16-bit images are not read.
"""

import argparse
import json

import numpy as np
import onnx
import onnxruntime
from PIL import Image, ImageOps

# Colour around images that do not fill their shape.
PADDING = (124, 116, 104)


def view(image, size, fit, crop_share):
    """The image in the size `(width, height)`."""
    width, height = size
    is_taller = image.height * width > image.width * height
    if fit == "stretch":
        return resized(image, size)
    if fit == "pad":
        if is_taller:
            inner = (min(max(round(image.width * height / image.height), 1), width), height)
        else:
            inner = (width, min(max(round(image.height * width / image.width), 1), height))
        canvas = Image.new(image.mode, size, PADDING if image.mode == "RGB" else PADDING[1])
        canvas.paste(resized(image, inner), ((width - inner[0]) // 2, (height - inner[1]) // 2))
        return canvas
    # The side that decides is resized to that of the model divided by the share.
    if is_taller:
        wide = max(round(width / crop_share), width)
        enlarged = (wide, max(image.height * wide // image.width, height))
    else:
        high = max(round(height / crop_share), height)
        enlarged = (max(image.width * high // image.height, width), high)
    left, top = round((enlarged[0] - width) / 2), round((enlarged[1] - height) / 2)
    window = (left, top, left + width, top + height)
    scales = 2 * (image.width / enlarged[0], image.height / enlarged[1])
    box = [side * scale for side, scale in zip(window, scales)]
    return resized(image, size, box)


def resized(image, size, box=None):
    return image.resize(size, Image.Resampling.BILINEAR, box)


def prepared(path, metadata):
    """The image as the model takes it, `[C, H, W]`."""
    _, height, width = json.loads(metadata["input_size"])
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode.startswith("I"):
        raise SystemExit(f"{path}: this script does not read 16-bit images")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        background = (*json.loads(metadata["background"]), 255)
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
    image = image.convert("RGB" if metadata["color"] == "rgb" else "L")
    image = view(image, (width, height), metadata["fit"], float(metadata["crop_share"]))
    pixels = np.asarray(image, np.float32).reshape(height, width, -1) / 255
    mean, std = (np.array(json.loads(metadata[key]), np.float32) for key in ("mean", "std"))
    return ((pixels - mean) / std).transpose(2, 0, 1)


def probabilities(logits, activation):
    if activation == "sigmoid":
        return 1 / (1 + np.exp(-logits))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    args = parser.parse_args()
    onnx.checker.check_model(args.model, full_check=True)
    session = onnxruntime.InferenceSession(args.model, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    classes = json.loads(metadata["classes"])
    batch = np.stack([prepared(path, metadata) for path in args.images])
    (logits,) = session.run(["logits"], {"images": batch})
    for path, row in zip(args.images, probabilities(logits, metadata["activation"])):
        shares = {name: float(value) for name, value in zip(classes, row)}
        print(json.dumps({"image": path, "probabilities": shares}, ensure_ascii=False))


if __name__ == "__main__":
    main()
