#!/usr/bin/env python3
"""What training in several processes costs: measured here, and expected on clusters of GPUs. Writes both
tables of docs/DISTRIBUTED.md.

    python3 scripts/distributed_cost.py             # some minutes; needs mpirun, on a quiet machine
    python3 scripts/distributed_cost.py --model     # the expected costs alone
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "DISTRIBUTED.md"

# Parameters, and multiplications for an image of 224 x 224 pixels (28 x 28 for ResNet-8).
NETWORKS = {
    "ResNet-8": (75_290, 12.2e6),
    "ResNet-18": (11_689_512, 1.81e9),
    "ResNet-50": (25_557_032, 4.09e9),
    "ViT-Base": (86_567_656, 16.9e9),
}

# What the model of the cost assumes.
IMAGES = 128  # in each process and batch
OPERATIONS = 45e12  # in a second, of a GPU in training: 30 % of the 156 TFLOP/s of an A100 in TF32
COPY = 20e9  # bytes in a second between a GPU and its host
INSIDE = 10e9  # bytes in a second that each process of a host sends to others of it
BETWEEN = 25e9 / 8  # bytes in a second of each process between hosts: 200 Gb/s for 8 GPUs
LATENCY = 5e-6  # seconds of a message
BUCKET = 1 << 22  # numbers that are added up at once
HOST = 8  # GPUs


def expected(parameters, multiplications, processes):
    """Seconds of computing and of adding up the gradients in a step."""
    # A multiplication is followed by an addition, and the backward pass takes twice the forward pass.
    compute = 3 * 2 * multiplications * IMAGES / OPERATIONS
    size = 4 * parameters
    # To the host and back; each process sends a slice to each other one, and then its sum to all.
    copies = 2 * size / COPY
    speed = INSIDE if processes <= HOST else BETWEEN
    sent = 2 * (processes - 1) / processes * size / speed
    buckets = -(-parameters // BUCKET)
    messages = 2 * buckets * (processes - 1) * LATENCY
    return compute, copies + sent + messages


def model():
    rows = [
        "| network | MB a step | compute | 8 GPUs | 64 GPUs | 512 GPUs |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, (parameters, multiplications) in NETWORKS.items():
        cells = []
        for processes in [8, 64, 512]:
            compute, cost = expected(parameters, multiplications, processes)
            cells.append(f"{1e3 * cost:.1f} ms, {100 * compute / (compute + cost):.0f} %")
        megabytes = 8 * parameters / 1e6
        rows.append(f"| {name} | {megabytes:.1f} | {1e3 * compute:.1f} ms | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def environment():
    return dict(
        os.environ,
        OMPI_ALLOW_RUN_AS_ROOT="1",
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
        OMPI_MCA_rmaps_base_oversubscribe="1",
    )


def run(*command, cwd=None):
    result = subprocess.run(command, cwd=cwd, env=environment(), check=True, capture_output=True, text=True)
    return result.stdout


def images_per_second(program, processes, arguments, rounds):
    """The median of the speeds that the program prints."""
    found = []
    launcher = ["mpirun", "-n", str(processes)] if processes > 1 else []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            text = run(*launcher, program, "train", *arguments.split(), "--output", "run", cwd=folder)
        found.append(int(re.search(r"([\d,]+) images/s", text)[1].replace(",", "")))
    return statistics.median(found)


def measured(rounds):
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    build = ["cargo", "build", "--release", "--workspace", "--features", "cutmix-cli/mpi,cutmix-train/mpi"]
    subprocess.run([*build, "--examples", "--bins"], cwd=ROOT, check=True)
    release = pathlib.Path(target) / "release"
    rows = [
        "| network | exact sum | MPI's own | one process | two | |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    cases = {
        "ResNet-8": "--model resnet8 --limit 4096 --duration 2ep --batch-size 128 --device cpu",
        "ResNet-18": "--model resnet18 --size 64 --limit 256 --duration 16ba --batch-size 32 --device cpu",
    }
    for name, arguments in cases.items():
        parameters = NETWORKS[name][0]
        sums = json.loads(run("mpirun", "-n", "2", release / "examples" / "gradient_sum", str(parameters)))
        one, two = (
            images_per_second(release / "cutmix", processes, arguments, rounds) for processes in [1, 2]
        )
        rows.append(
            f"| {name} | {sums['exact']:.2f} ms | {sums['fast']:.2f} ms | {one:,.0f} images/s "
            f"| {two:,.0f} images/s | {two / one:.2f} |"
        )
    today = datetime.date.today().isoformat()
    return f"Measured on {today}, medians of {rounds} runs.\n\n" + "\n".join(rows) + "\n"


def replace(text, name, table):
    """The text of a page with this table between the marks of its name."""
    start, end = f"<!-- {name} -->\n", "<!-- end -->\n"
    before, rest = text.split(start)
    _, after = rest.split(end, 1)
    return before + start + table + end + after


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", action="store_true", help="the expected costs alone")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    text = replace(PAGE.read_text(), "expected", model())
    if not options.model:
        text = replace(text, "measured", measured(options.rounds))
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
