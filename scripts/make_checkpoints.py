#!/usr/bin/env python3
"""Writes the checkpoints that tests/weights.rs of cutmix-vision reads: the same ResNet-8, by
`torch.save`, in several formats.

    python3 scripts/make_checkpoints.py     # in a Python with torch

All tensors are views of one small storage, which makes the files small and gives them strides and
offsets: element [i, j, k, l] of tensor n, in the order of the names, is storage[n + i + 3 j + 5 k + 7 l],
and storage[m] is (m % 127 + 1) / 128, which float16 and bfloat16 can hold.
"""

import json
import pathlib

import torch

TESTS = pathlib.Path(__file__).resolve().parent.parent / "crates" / "cutmix-vision" / "tests"
STRIDES = [1, 3, 5, 7]


def tensors(dtype):
    golden = json.loads((TESTS / "model_data" / "reference-resnet8.json").read_text())
    storage = ((torch.arange(1024) % 127 + 1) / 128).to(dtype)
    named = enumerate(sorted(golden["tensors"]))
    return {
        name: storage.as_strided(shape, STRIDES[: len(shape)], number)
        for number, (name, shape) in named
    }


def main():
    folder = TESTS / "checkpoint_data"
    folder.mkdir(exist_ok=True)
    plain = tensors(torch.float32)
    torch.save(plain, folder / "zip.pth")
    torch.save(plain, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    # As scripts that train on several GPUs save a network: its parameters among other things.
    model = {
        f"module.{name}": torch.nn.Parameter(value)
        for name, value in tensors(torch.bfloat16).items()
    }
    model["module.bn1.num_batches_tracked"] = torch.tensor(7)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.1, momentum=0.9)
    training = {"epoch": 3, "model": model, "optimizer": optimizer.state_dict(), "args": None}
    torch.save(training, folder / "training.pt")


if __name__ == "__main__":
    main()
