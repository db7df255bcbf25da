#!/usr/bin/env python3
"""Times the loaders of torchvision and timm beside this project's, on the same files and in one run.

    python scripts/make_photos.py --out photos
    python scripts/compare_loaders.py --data photos --json docs/loading.json

Every loader reads the same folder of JPEG files, cuts a random region out of each picture (8 % to 100 % of its area),
resizes it to 224 x 224 (bilinear, antialiased), mirrors half of them, normalises them to float32 and hands out
shuffled batches of 32. Nothing is kept in memory from one pass to the next. The loaders:

  pillow    torchvision: ImageFolder, Pillow, transforms.v2
  tensor    torchvision: decode_image of torchvision.io, transforms.v2 on uint8 tensors
  timm      timm's create_loader
  prefetch  timm's create_loader with its prefetcher, on the CPU
  cutmix    this project's ImageLoader, by the bench `loader`

With N processes a peer has N workers of one thread each and a process that takes the batches; this project has a pool of
N threads and a thread that takes them. The loaders take turns, round by round, so that other work on the machine
disturbs all alike; medians of the rounds are printed, with the ratio to the fastest peer of the same round.

Needs torch, torchvision, timm and Pillow.
"""
import argparse
import json
import os
import statistics
import subprocess
import time

import timm
import timm.data
import torch
import torchvision
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.io import ImageReadMode, decode_image, read_file
from torchvision.transforms import v2

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
SIDE, BATCH, AREA = 224, 32, (0.08, 1.0)
PEERS = ("pillow", "tensor", "timm", "prefetch")
# Images in a round.
IMAGES = {"small": 1280, "large": 128}


class Repeated(Dataset):
    """A data set seen as if it had `length` items, so that a round is long enough."""

    def __init__(self, inner, length):
        self.inner, self.length = inner, length

    @property
    def transform(self):
        return self.inner.transform

    @transform.setter
    def transform(self, value):
        self.inner.transform = value

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return self.inner[index % len(self.inner)]


def load_tensor(path):
    return decode_image(read_file(path), mode=ImageReadMode.RGB)


def torchvision_loader(name, folder, images, workers):
    steps = [v2.RandomResizedCrop(SIDE, scale=AREA, antialias=True), v2.RandomHorizontalFlip()]
    if name == "pillow":
        steps.append(v2.PILToTensor())
    steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    own = {"loader": load_tensor} if name == "tensor" else {}
    data = Repeated(ImageFolder(folder, v2.Compose(steps), **own), images)
    return DataLoader(
        data, BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=True, prefetch_factor=4
    )


def timm_loader(name, folder, images, workers):
    data = Repeated(timm.data.ImageDataset(folder), images)
    return timm.data.create_loader(
        data, (3, SIDE, SIDE), BATCH, is_training=True, use_prefetcher=name == "prefetch", scale=AREA, hflip=0.5,
        color_jitter=None, auto_augment=None, re_prob=0.0, interpolation="bilinear", mean=MEAN, std=STD,
        num_workers=workers, persistent_workers=True, pin_memory=False, device=torch.device("cpu"),
    )


def peer(name, folder, images, workers):
    """A function that takes one pass and returns the images for each second."""
    make = timm_loader if name in ("timm", "prefetch") else torchvision_loader
    loader = make(name, folder, images, workers)

    def one_pass():
        start, seen = time.perf_counter(), 0
        for batch, _ in loader:
            assert batch.dtype == torch.float32 and batch.shape[1:] == (3, SIDE, SIDE)
            seen += len(batch)
        return seen / (time.perf_counter() - start)

    one_pass()  # starts the workers and fills the cache of the system
    return one_pass


def ours(program, folder, images, threads):
    command = [program, folder, "--size", SIDE, "--batch", BATCH, "--images", images, "--rounds", 1]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}

    def one_pass():
        output = subprocess.run(list(map(str, command)), env=environment, capture_output=True, check=True)
        return json.loads(output.stdout)["images_per_second"][0]

    one_pass()
    return one_pass


def spread(values):
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    return [round(x, 2) for x in (statistics.median(values), low, high)]


def compare(program, folder, images, count, rounds):
    passes = {name: peer(name, folder, images, count) for name in PEERS}
    passes["cutmix"] = ours(program, folder, images, count)
    speeds = {name: [] for name in passes}
    for _ in range(rounds):
        for name, one_pass in passes.items():
            speeds[name].append(one_pass())
    fastest = max(PEERS, key=lambda name: statistics.median(speeds[name]))
    ratios = [own / other for own, other in zip(speeds["cutmix"], speeds[fastest])]
    return {
        "images_per_second": {name: spread(values) for name, values in speeds.items()},
        "fastest_peer": fastest,
        "ratio": spread(ratios),
    }


def built():
    """The bench `loader`, built where it is not."""
    command = ["cargo", "bench", "-p", "cutmix-vision", "--bench", "loader", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    messages = map(json.loads, lines)
    return next(path for path in (message.get("executable") for message in messages) if path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder that make_photos.py made")
    parser.add_argument("--program", help="the bench `loader` [default: it is built]")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", help="file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    program = options.program or built()
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "timm": timm.__version__}
    result = {"versions": versions, "rounds": options.rounds, "photographs": {}}
    print("| photographs | processes | " + " | ".join(PEERS) + " | cutmix | ratio to the fastest peer |")
    print("| --- | --- |" + " ---: |" * (len(PEERS) + 2))
    for kind, images in IMAGES.items():
        for count in options.threads:
            found = compare(program, os.path.join(options.data, kind), images, count, options.rounds)
            result["photographs"][f"{kind}/{count}"] = found
            speeds = [f"{found['images_per_second'][name][0]:,.0f}" for name in (*PEERS, "cutmix")]
            ratio, low, high = found["ratio"]
            row = [kind, str(count), *speeds, f"{ratio:.2f} ({low:.2f} to {high:.2f})"]
            print("| " + " | ".join(row) + " |", flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
