#!/usr/bin/env python3
"""Loads the model of a run into the same network of torchvision or timm, and compares what it predicts.

    pip install torch torchvision timm safetensors pillow
    python scripts/check_torch.py runs/001 IMAGE...

Images must have the size that the run takes, and the run `--crop-share 1`, so that nothing is resized. Prints the
largest difference of a probability; more than 1e-4 is an error.
"""

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

HERE = Path(__file__).resolve().parent
# Networks whose names in timm are not their names here with other hyphens.
NAMES = {
    "mobilenetv2": "mobilenetv2_100",
    "vit-tiny": "deit_tiny_patch16_224",
    "vit-small": "deit_small_patch16_224",
    "vit-base": "deit_base_patch16_224",
}


def twin(name, classes):
    name = NAMES.get(name, name.replace("-", "_"))
    if name.startswith(("resnet", "resnext", "wide_resnet")):
        return torchvision.models.get_model(name, num_classes=classes)
    # Position embeddings are interpolated for other sizes than 224.
    more = {"dynamic_img_size": True} if name.startswith("deit") else {}
    return timm.create_model(name, num_classes=classes, **more)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("images", nargs="+")
    parser.add_argument("--cutmix", default=str(HERE.parent / "target/release/cutmix"))
    arguments = parser.parse_args()
    file = arguments.run / "model.safetensors"
    with safe_open(file, "pt") as opened:
        card = json.loads(opened.metadata()["cutmix"])
    assert card["crop-share"] == 1, "the run crops its images; train it with --crop-share 1"
    assert not card["blur-pool"], "torchvision has no network with BlurPool"
    assert card["shape"][0] == 3, "the network takes grey images, its twin colours"
    classes = card["classes"]
    network = twin(card["model"], len(classes)).eval()
    network.load_state_dict(load_file(file))
    mean, std = (np.array(card["normalize"][key], dtype=np.float32) for key in ("mean", "std"))
    pixels = [np.asarray(Image.open(image).convert("RGB"), dtype=np.float32) for image in arguments.images]
    images = np.stack([(one / 255 - mean) / std for one in pixels]).transpose(0, 3, 1, 2)
    with torch.no_grad():
        probabilities = network(torch.from_numpy(np.ascontiguousarray(images))).softmax(1)
    command = [arguments.cutmix, "predict", arguments.run, *arguments.images, "--format", "json"]
    output = subprocess.run([*map(str, command), "--top", str(len(classes))], capture_output=True, check=True)
    largest = 0.0
    for line, ours in zip(output.stdout.decode().splitlines(), probabilities):
        for prediction in json.loads(line)["predictions"]:
            expected = ours[classes.index(prediction["class"])].item()
            largest = max(largest, abs(prediction["probability"] - expected))
    print(f"{card['model']}: {len(arguments.images)} images, largest difference {largest:.1e}")
    assert largest <= 1e-4


if __name__ == "__main__":
    main()
