#!/usr/bin/env python3
"""Trains for as many batches as a run of hours has, on tiny data, and shows that memory stays flat and a
step takes as long at the end as at the start: docs/endurance.png and docs/endurance.json.

    python3 scripts/endurance.py                 # a quarter of an hour
    python3 scripts/endurance.py --batches 2000  # a try; writes nothing

The batches are of four images of 8 x 8 pixels, so that there are many; the run evaluates and saves itself
every thousand batches, and uses an algorithm and a moving average. Needs Linux and matplotlib.
"""

import argparse
import csv
import json
import pathlib
import random
import struct
import subprocess
import tempfile
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
INTERVAL = 1000


def resident(process):
    """Megabytes of memory of a process, or none once it has ended."""
    try:
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    except FileNotFoundError:
        return None
    lines = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(lines[0].split()[1]) / 1024 if lines else None


def png(path, pixels):
    """A grey image of 8 x 8 pixels."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + bytes(pixels[8 * y : 8 * y + 8]) for y in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def images(folder):
    """Two classes of images: dark and light noise."""
    draw = random.Random(0)
    for name, low, high in [("dark", 0, 160), ("light", 96, 255)]:
        (folder / name).mkdir(parents=True)
        for index in range(32):
            png(folder / name / f"{index}.png", [draw.randint(low, high) for _ in range(64)])


def run(batches, folder):
    """Memory over time, and the rows of the run's metrics."""
    images(folder / "images")
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    command = [
        *["cargo", "run", "--release", "--quiet", "--", "train", "--device", "cpu"],
        *["--data", str(folder / "images"), "--size", "8", "--batch-size", "4"],
        *["--model", "resnet8", "--learning-rate", "0.01"],
        *["--algorithm", "cutmix", "--algorithm", "ema:0.99", "--duration", f"{batches}ba"],
        *["--eval-interval", f"{INTERVAL}ba", "--save-interval", f"{INTERVAL}ba"],
        *["--output", str(folder / "run")],
    ]
    # Without cargo in between, so that the process is the program's.
    metadata = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps"],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
    )
    target = json.loads(metadata.stdout)["target_directory"]
    command[: command.index("--") + 1] = [f"{target}/release/cutmix"]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    memory = []
    while process.poll() is None:
        megabytes = resident(process)
        if megabytes is not None:
            memory.append((time.monotonic() - start, megabytes))
        time.sleep(1)
    if process.returncode != 0:
        raise SystemExit(f"the run ended with {process.returncode}")
    with open(folder / "run" / "metrics.csv", newline="") as file:
        return memory, list(csv.DictReader(file))


def step_times(rows):
    """Milliseconds for each batch of an interval, with its evaluation and checkpoint."""
    times, before = [], 0.0
    for row in rows:
        seconds = float(row["seconds"])
        times.append((int(row["batches"]), 1000 * (seconds - before) / INTERVAL))
        before = seconds
    return times


def draw(memory, times, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.2))
    left.plot([seconds / 60 for seconds, _ in memory], [size for _, size in memory])
    left.set(xlabel="minutes", ylabel="resident memory (MB)", ylim=(0, None))
    right.plot([batch / 1000 for batch, _ in times], [step for _, step in times])
    right.set(xlabel="thousands of batches", ylabel="milliseconds for each batch", ylim=(0, None))
    for axes in (left, right):
        axes.grid(color="#e4e4e8")
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=150_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        memory, rows = run(arguments.batches, pathlib.Path(folder))
    times = step_times(rows)
    tenth = max(1, len(times) // 10)
    mean = lambda values: sum(values) / len(values)
    settled = memory[len(memory) // 10 :]
    report = {
        "batches": arguments.batches,
        "minutes": memory[-1][0] / 60,
        "megabytes_after_a_tenth": settled[0][1],
        "megabytes_at_the_end": settled[-1][1],
        "megabytes_at_most": max(size for _, size in memory),
        "milliseconds_in_the_first_tenth": mean([step for _, step in times[:tenth]]),
        "milliseconds_in_the_last_tenth": mean([step for _, step in times[-tenth:]]),
    }
    print(json.dumps(report, indent=2))
    if arguments.batches >= 100_000:
        report["memory"] = [[round(seconds, 1), round(size, 1)] for seconds, size in memory[::10]]
        report["step_times"] = [[batch, round(step, 3)] for batch, step in times]
        (ROOT / "docs" / "endurance.json").write_text(json.dumps(report, indent=1) + "\n")
        draw(memory, times, ROOT / "docs" / "endurance.png")


if __name__ == "__main__":
    main()
