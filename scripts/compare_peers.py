#!/usr/bin/env python3
"""Times this project's CutMix beside that of public Python libraries, and writes
docs/PERFORMANCE.md with its data and plot.

    python3 scripts/compare_peers.py            # some minutes; 3 GB of packages the first time
    python3 scripts/compare_peers.py --quick    # a few plans, printed only

The libraries are installed into target/peers, an environment of their own. The contestants take turns,
in an order that changes from round to round, so that all of them see the same machine. In its turn one
warms up for some milliseconds, then mixes TURN batches, each with a plan that it draws itself.
"""

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import random
import re
import statistics
import subprocess
import sys
import time
import types

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOME = ROOT / "target" / "peers"
CLASSES = 1000
OURS = "cutmix"
# Batches in a turn, and the seconds before them that are not counted: after the turn of another one
# caches are cold, and its threads may still wait actively for more work.
TURN = 5
WARM_UP = 0.01

# Shape, element type, mode.
CASES = [
    ((64, 3, 224, 224), "f32", "batch"),
    ((256, 3, 224, 224), "f32", "batch"),
    ((256, 3, 32, 32), "f32", "batch"),
    ((128, 1, 28, 28), "f32", "batch"),
    ((4, 16, 3, 224, 224), "f32", "batch"),
    ((64, 3, 224, 224), "f32", "pair"),
    ((256, 3, 224, 224), "f32", "pair"),
    ((256, 3, 32, 32), "f32", "pair"),
    ((128, 1, 28, 28), "f32", "pair"),
    ((64, 3, 224, 224), "f32", "sample"),
    ((256, 3, 224, 224), "f32", "sample"),
    ((256, 3, 32, 32), "f32", "sample"),
    ((128, 1, 28, 28), "f32", "sample"),
    ((64, 3, 224, 224), "u8", "batch"),
    ((256, 3, 224, 224), "u8", "batch"),
    ((256, 3, 32, 32), "u8", "batch"),
    ((128, 1, 28, 28), "u8", "batch"),
    ((4, 16, 3, 224, 224), "u8", "batch"),
]


def enter_environment():
    """Goes on in the environment of the peers, made the first time."""
    python = HOME / "bin" / "python"
    if pathlib.Path(sys.prefix).resolve() == HOME.resolve():
        return
    done = HOME / "installed"
    wanted = (ROOT / "scripts" / "requirements.txt").read_text()
    if not done.exists() or done.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
        lines = [line for line in wanted.splitlines() if line and not line.startswith("#")]
        alone = [line for line in lines if line.startswith("mosaicml")]
        rest = [line for line in lines if line not in alone]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *rest], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", *alone], check=True)
        done.write_text(wanted)
    os.execv(python, [str(python), *sys.argv])


def composer_module():
    """Composer's module of CutMix, by its path, with stand-ins for the parts of Composer that it
    names but that its function does not use."""
    for name, parts in {
        "composer": [],
        "composer.core": ["Algorithm", "Event", "State"],
        "composer.loggers": ["Logger"],
        "composer.loss": [],
        "composer.loss.utils": ["ensure_targets_one_hot"],
    }.items():
        stand_in = types.ModuleType(name)
        for part in parts:
            setattr(stand_in, part, type(part, (), {}))
        sys.modules[name] = stand_in
    files = importlib.metadata.files("mosaicml")
    path = next(f for f in files if str(f).endswith("algorithms/cutmix/cutmix.py")).locate()
    spec = importlib.util.spec_from_file_location("composer_cutmix", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def composer():
    """Composer's function, with the targets made dense as its algorithm does."""
    from torch.nn.functional import one_hot

    module = composer_module()

    def call(x, y):
        mixed, partners, share, _ = module.cutmix_batch(x, y, alpha=1.0)
        return mixed, one_hot(y, CLASSES) * share + one_hot(partners, CLASSES) * (1 - share)

    return call


class Torch:
    """A peer: `call(x, y)` mixes a batch of tensors."""

    def __init__(self, name, call):
        self.name = name
        self.call = call
        self.batch = None

    def prepare(self, shape, dtype):
        import torch

        self.batch = torch.rand(shape) * 255
        if dtype == "u8":
            self.batch = self.batch.to(torch.uint8)
        if len(shape) == 5:
            from torchvision import tv_tensors

            self.batch = tv_tensors.Video(self.batch)
        self.labels = torch.arange(shape[0]) * 7 % CLASSES

    def seconds(self, _steps):
        begin = time.perf_counter()
        while time.perf_counter() - begin < WARM_UP:
            self.call(self.batch, self.labels)
        times = []
        for _ in range(TURN):
            start = time.perf_counter()
            self.call(self.batch, self.labels)
            times.append(time.perf_counter() - start)
        return times


class Ours:
    """This project, in a process of its own."""

    name = OURS

    def __init__(self):
        command = ["cargo", "bench", "--quiet", "--workspace", "--bench", "peers", "--", "--serve"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def prepare(self, shape, dtype, mode):
        self.request = {"shape": shape, "dtype": dtype, "mode": mode, "classes": CLASSES}

    def seconds(self, steps):
        request = {**self.request, "steps": steps, "warm_up": WARM_UP}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def peers(shape, dtype, mode):
    """The public libraries that can mix such a batch."""
    import timm.data.mixup
    from torchvision.transforms import v2

    found = []
    if mode == "batch":
        found.append(Torch("torchvision", v2.CutMix(num_classes=CLASSES, alpha=1.0)))
    if len(shape) == 4:
        timm_mode = {"batch": "batch", "pair": "pair", "sample": "elem"}[mode]
        mixup = timm.data.mixup.Mixup(
            mixup_alpha=0.0,
            cutmix_alpha=1.0,
            mode=timm_mode,
            label_smoothing=0.0,
            num_classes=CLASSES,
        )
        found.append(Torch("timm", mixup))
        if mode == "batch":
            found.append(Torch("composer", composer()))
    return found


def compare(ours, case, plans):
    """Median seconds of each contestant."""
    shape, dtype, mode = case
    contestants = peers(shape, dtype, mode)
    for peer in contestants:
        peer.prepare(shape, dtype)
    ours.prepare(shape, dtype, mode)
    contestants.append(ours)
    times = {contestant.name: [] for contestant in contestants}
    order = random.Random(0)
    for first in range(0, plans, TURN):
        for contestant in order.sample(contestants, len(contestants)):
            times[contestant.name] += contestant.seconds(list(range(first, first + TURN)))
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def shape_text(shape):
    return " x ".join(str(size) for size in shape)


def milliseconds(seconds):
    return f"{1e3 * seconds:.3f}" if seconds < 0.01 else f"{1e3 * seconds:.1f}"


def comparison_table(results):
    lines = [
        "| batch | type | boxes | composer | timm | torchvision | this project | fastest peer / this |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        medians = result["median_seconds"]
        fastest = min(seconds for name, seconds in medians.items() if name != OURS)
        cells = [shape_text(result["shape"]), result["dtype"], f"per {result['mode']}"]
        for name in ["composer", "timm", "torchvision", OURS]:
            cells.append(milliseconds(medians[name]) if name in medians else "")
        cells.append(f"**{fastest / medians[OURS]:.1f}**")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def program(*arguments):
    """What `cutmix bench` measured."""
    command = [
        *["cargo", "run", "--release", "--quiet", "--features", "count-allocations", "--"],
        *["bench", "--device", "cpu", "--json"],
    ]
    output = subprocess.run(
        [*command, *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(output.stdout)


def size(count):
    for unit, scale in [("MB", 1e6), ("KB", 1e3)]:
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def operations_table(report):
    lines = [
        "| operation | boxes | time | GB/s | of a copy | extra memory |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in report["rows"]:
        rate, share, extra = (
            row[key] for key in ["gigabytes_per_second", "share_of_copy", "extra_bytes"]
        )
        cells = [
            row["operation"],
            f"per {row['mode']}" if row["mode"] else "",
            f"{row['milliseconds']:.3f} ms",
            f"{rate:.1f}" if rate else "",
            f"{100 * share:.0f} %" if share else "",
            size(extra) if extra is not None else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def find(report, operation, mode="batch"):
    return next(
        row
        for row in report["rows"]
        if row["operation"] == operation and row["mode"] in (mode, None)
    )


def plot(path, reports):
    """Time over the bytes of the boxes, for batches of two sizes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), dpi=110)
    for report, marker in zip(reports, ["o", "x"]):
        samples = find(report, "paste")["samples"]
        axes.plot(
            [1e-6 * count for count, _ in samples],
            [1e3 * seconds for _, seconds in samples],
            marker,
            markersize=4,
            label=f"paste in {shape_text(report['shape'])} {report['dtype']}",
        )
    samples = find(reports[0], "plain copy")["samples"]
    axes.plot(
        [1e-6 * count for count, _ in samples],
        [1e3 * seconds for _, seconds in samples],
        ".",
        color="grey",
        markersize=4,
        label="plain copy of as many bytes",
    )
    most = 1e-6 * max(count for count, _ in find(reports[0], "paste")["samples"])
    tall = 1e3 * max(seconds for _, seconds in find(reports[0], "paste")["samples"])
    axes.set_xlim(0, most)
    axes.set_ylim(0, 1.5 * tall)
    axes.set_xlabel("bytes of the boxes (MB)")
    axes.set_ylabel("milliseconds")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)


def slope(report):
    """Nanoseconds for each KB of the boxes, by least squares through the origin."""
    samples = find(report, "paste")["samples"]
    across = sum(count * seconds for count, seconds in samples)
    return 1e12 * across / sum(count * count for count, _ in samples)


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def training_share(rounds):
    """What the bench of the training step says of ResNet-18, as text."""
    command = ["cargo", "bench", "--quiet", "--workspace", "--bench", "training"]
    output = subprocess.run(
        [*command, "--", str(rounds)], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return output.stdout.strip()


def trainer_ratio(training):
    """The mean of the bench's ratios of the trainer to a loop by hand, and its standard error."""
    found = re.findall(r"trainer / by hand.*? (\d\.\d+) \+- (\d\.\d+)", training)
    ratios = [float(ratio) for ratio, _ in found]
    errors = [float(error) for _, error in found]
    count = len(found)
    return sum(ratios) / count, sum(error * error for error in errors) ** 0.5 / count


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plans", type=int, default=100, help="random plans in each row")
    parser.add_argument("--quick", action="store_true", help="10 plans; print, write nothing")
    parser.add_argument(
        "--keep-training",
        action="store_true",
        help="keep the figures of the training step from the last run; they take longest",
    )
    arguments = parser.parse_args()
    enter_environment()
    import torch

    plans = 10 if arguments.quick else arguments.plans
    if plans < 60 and not arguments.quick:
        parser.error("--plans is below 60, too few for a median that says something")
    build = ["cargo", "bench", "--quiet", "--workspace", "--bench", "peers", "--no-run"]
    subprocess.run(build, cwd=ROOT, check=True)
    ours = Ours()
    results = []
    for case in CASES:
        shape, dtype, mode = case
        medians = compare(ours, case, plans)
        results.append(
            {"shape": shape, "dtype": dtype, "mode": mode, "median_seconds": medians}
        )
        words = ", ".join(f"{name} {milliseconds(value)} ms" for name, value in medians.items())
        print(f"{shape_text(shape)} {dtype} per {mode}: {words}", flush=True)
    ours.process.stdin.close()
    if arguments.quick:
        return

    large = program("--shape", "64x3x224x224", "--plans", str(plans))
    largest = program("--shape", "256x3x224x224", "--plans", str(plans))
    huge = program("--shape", "256x3x448x448", "--plans", str(plans))
    small = program("--shape", "256x3x32x32", "--plans", str(plans))
    smallest = program("--shape", "128x1x28x28", "--plans", str(plans))
    many = program("--shape", "256x3x32x32", "--classes", "21841", "--plans", "60")
    docs = ROOT / "docs"
    if arguments.keep_training:
        share = json.loads((docs / "performance.json").read_text())["training"]
    else:
        share = training_share(30)
    plot(docs / "performance.png", [largest, huge])
    ratio, error = trainer_ratio(share)
    one, two = find(many, "targets"), find(many, "targets, one-hot")
    versions = ", ".join(
        f"{package} {importlib.metadata.version(package)}"
        for package in ["mosaicml", "timm", "torchvision", "torch"]
    )
    data = {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "threads": os.cpu_count(),
        "versions": versions,
        "plans": plans,
        "comparison": results,
        "operations": [large, largest, huge, small, smallest, many],
        "training": share,
    }
    text = json.dumps(data, indent=1)
    # One number a line is too many lines.
    text = re.sub(r"\[\s+([\d.e-]+),\s+([\d.e-]+)\s+\]", r"[\1, \2]", text)
    (docs / "performance.json").write_text(text + "\n")
    page = f"""# Performance

Written by `python3 scripts/compare_peers.py` on {data["date"]}; the numbers are also in
[performance.json](performance.json). One run on {data["threads"]} threads of a shared
{data["processor"]}: trust ratios within a row, not a single time.

**Not measured: any GPU.** The kernels for GPUs are tested on a Vulkan device in software, which says
nothing of their speed.

## Beside other libraries

Medians in milliseconds over {plans} random plans of alpha 1, {CLASSES} classes, {torch.get_num_threads()}
threads; {versions}. The contestants take turns of {TURN} batches, in random order and after a warm-up.
This project's time is of the whole call: plan, images and dense targets; so are the others' (for Composer the
targets are made dense after its function, as its algorithm does). timm pairs each image with the one at
the mirrored place and torchvision with its neighbour, where Composer and this project draw a permutation.
The peers copy the batch on their way; this project changes it where it is. It runs with the allocator
mimalloc, as its program does, and the peers with their own. A cell is empty where a library cannot mix
such a batch.

{comparison_table(results)}

## The operations

Beside a plain copy of as many bytes as the boxes have, from memory into other memory: `cutmix bench
--device cpu --plans {plans} --shape 64x3x224x224`, and so on. Medians over the plans. The copy continues where
the last one ended, in memory of the batch's size, so that it finds as little of it in the caches. `paste` is CutMix, `blend` MixUp (all of
each image), `fill` CutOut; `paste, shared` has to write a new batch because something else holds the
old one; `paste, reference` is plain tensor calls. The extra memory is what the allocator gave out
during a call.

### 64 x 3 x 224 x 224, f32

{operations_table(large)}

### 256 x 3 x 224 x 224, f32

{operations_table(largest)}

### 256 x 3 x 32 x 32, f32

{operations_table(small)}

### 128 x 1 x 28 x 28, f32

{operations_table(smallest)}

In images of 32 pixels a box is thousands of rows of at most 128 bytes, each of which touches one or two
cache lines of 64 bytes, mostly without filling them; the plain copy is one long piece of memory that stays in
a cache.

## The cost grows with the boxes, not with the batch

![Time over the bytes of the boxes](performance.png)

By least squares, each KB of the boxes costs {slope(largest):.1f} ns in images of 224 pixels and
{slope(huge):.1f} ns in images of 448, which have four times as many pixels around it. (Boxes of more
bytes than the smaller images have are beyond the plot.)

## Targets of many classes

256 samples, 21,841 classes, from class indices (`cutmix bench --shape 256x3x32x32 --classes 21841`):

| | time | memory |
| --- | ---: | ---: |
| in one pass | {one["milliseconds"]:.2f} ms | {size(one["extra_bytes"])} |
| by way of two one-hot matrices | {two["milliseconds"]:.2f} ms | {size(two["extra_bytes"])} |

## In training

`cargo bench --workspace --bench training`:

```text
{share}
```

Over the comparisons of the trainer with a loop by hand, with and without CutMix, the trainer takes
{ratio:.4f} (+- {error:.4f}) of the loop's time.
"""
    path = docs / "PERFORMANCE.md"
    # What follows is measured by other commands, which the page names.
    _, heading, rest = path.read_text().partition("### Beside PyTorch")
    path.write_text(page.rstrip() + "\n\n" + heading + rest)
    print(f"wrote {docs / 'PERFORMANCE.md'}")


if __name__ == "__main__":
    main()
