#!/usr/bin/env python3
"""Times training steps and evaluation of this project beside PyTorch's on the CPU, and writes
docs/training.json and the table between two marks of docs/PERFORMANCE.md.

    python3 scripts/compare_training.py             # about 20 minutes; some GB of packages the first time
    python3 scripts/compare_training.py --quick     # a few rounds, printed only
    python3 scripts/compare_training.py --plots     # training.png and training-scaling.json in docs
    python3 scripts/compare_training.py --draw      # draws training.png from training-scaling.json
    python3 scripts/compare_training.py --cuda      # on an NVIDIA GPU, printed only
    python3 scripts/compare_training.py --bench FILE # a bench `steps` and Python packages that are there

PyTorch (in both of its memory layouts) and this project take turns on the same networks, shapes and
optimizer, in an order that changes from round to round. In its turn each one makes some steps that are
not counted and then some that are. A round gives one median of each; the table has the medians of the
rounds, and the ratios of the medians of one round, with their quartiles.
The plots have training steps over the size of the batch and over the width of the network,
measured in the same way.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys

import compare_peers
from distributed_cost import replace

ROOT = pathlib.Path(__file__).resolve().parent.parent
OURS = "cutmix"
PEERS = ["contiguous", "channels last"]

# Network, shape of a batch, steps in a turn.
CASES = [
    ("resnet8", (32, 1, 28, 28), 24),
    ("resnet8", (128, 1, 28, 28), 8),
    ("resnet20", (32, 3, 32, 32), 8),
    ("wide16", (32, 3, 32, 32), 3),
    ("resnet18", (8, 3, 224, 224), 2),
    ("resnet50", (8, 3, 224, 224), 1),
    ("mobilenetv2", (8, 3, 224, 224), 1),
    ("efficientnet-b0", (8, 3, 224, 224), 1),
    ("convnext-tiny", (8, 3, 96, 96), 1),
    ("vit-tiny", (8, 3, 224, 224), 1),
]

# The same on a GPU, which takes larger batches.
CUDA_CASES = [
    ("resnet20", (512, 3, 32, 32), 20),
    ("resnet18", (128, 3, 224, 224), 5),
    ("resnet50", (64, 3, 224, 224), 5),
    ("mobilenetv2", (64, 3, 224, 224), 5),
    ("convnext-tiny", (64, 3, 224, 224), 5),
    ("vit-tiny", (128, 3, 224, 224), 5),
]

# The networks that are trained with AdamW; the others are with SGD.
ADAMW = ("convnext-tiny", "vit-tiny")

# The same for the plots, all on PLOT_THREADS. A turn takes some tenths of a second.
PLOT_THREADS = 2
PLOT_CASES = [
    ("resnet20", (images, 3, 32, 32), max(1, 280 // (images + 4)))
    for images in [1, 2, 4, 8, 16, 32, 64, 128, 256]
] + [
    (f"width{width}", (32, 3, 32, 32), max(1, 160 // width)) for width in [8, 16, 32, 64, 128]
]


def network(name, channels):
    """The networks of this project in PyTorch."""
    import torch
    import torch.nn.functional as F
    import torchvision
    from torch import nn

    twins = {
        "resnet18": "resnet18",
        "resnet50": "resnet50",
        "mobilenetv2": "mobilenet_v2",
        "efficientnet-b0": "efficientnet_b0",
        "convnext-tiny": "convnext_tiny",
    }
    if name in twins:
        return getattr(torchvision.models, twins[name])()
    if name == "vit-tiny":
        return torchvision.models.VisionTransformer(224, 16, 12, 3, 192, 768)

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.norm1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(outputs)
            self.stride, self.missing = stride, outputs - inputs

        def forward(self, x):
            y = F.relu(self.norm1(self.conv1(x)), inplace=True)
            y = self.norm2(self.conv2(y))
            if self.stride != 1 or self.missing:
                x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))
            return F.relu(y.add_(x), inplace=True)

    class Small(nn.Module):
        def __init__(self, blocks, width):
            super().__init__()
            self.conv = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
            self.norm = nn.BatchNorm2d(width)
            layers, inputs = [], width
            for stage in range(3):
                for index in range(blocks):
                    outputs = width << stage
                    layers.append(Block(inputs, outputs, 2 if stage and not index else 1))
                    inputs = outputs
            self.blocks = nn.Sequential(*layers)
            self.classifier = nn.Linear(inputs, 10)

        def forward(self, x):
            x = self.blocks(F.relu(self.norm(self.conv(x)), inplace=True))
            return self.classifier(x.mean((2, 3)))

    if name.startswith("width"):
        return Small(2, int(name.removeprefix("width")))
    return Small(*{"resnet8": (1, 16), "resnet20": (3, 16), "wide16": (2, 64)}[name])


def serve_torch(layout):
    """Answers requests, as the bench `steps` of this project does."""
    import time

    import torch

    torch.set_num_threads(int(os.environ["THREADS"]))
    device = torch.device(os.environ["DEVICE"])
    memory = torch.channels_last if layout == "channels last" else torch.contiguous_format
    known, subject = None, None
    for line in sys.stdin:
        request = json.loads(line)
        kind = (request["network"], tuple(request["shape"]))
        if kind != known:
            known = kind
            model = network(request["network"], request["shape"][1])
            model = model.to(device, memory_format=memory)
            decaying = [p for p in model.parameters() if p.dim() > 1]
            others = [p for p in model.parameters() if p.dim() <= 1]
            groups = [
                {"params": decaying, "weight_decay": 5e-4},
                {"params": others, "weight_decay": 0},
            ]
            if request["network"] in ADAMW:
                optimizer = torch.optim.AdamW(groups, lr=1e-3)
            else:
                optimizer = torch.optim.SGD(groups, lr=1e-3, momentum=0.9, nesterov=True)
            images = torch.randn(request["shape"]).to(device, memory_format=memory)
            classes = 1000 if request["shape"][2] > 64 else 10
            labels = torch.arange(request["shape"][0], device=device) % classes
            subject = (model, optimizer, images, labels)
        model, optimizer, images, labels = subject
        seconds = []
        for step in range(request["warm_up"] + request["steps"]):
            start = time.perf_counter()
            if request["train"]:
                model.train()
                loss = torch.nn.functional.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            else:
                model.eval()
                with torch.inference_mode():
                    model(images)
            if device.type == "cuda":
                torch.cuda.synchronize()
            if step >= request["warm_up"]:
                seconds.append(time.perf_counter() - start)
        print(json.dumps(seconds), flush=True)


class Contestant:
    def __init__(self, name, command, threads, device):
        self.name = name
        environment = dict(
            os.environ,
            THREADS=str(threads),
            RAYON_NUM_THREADS=str(threads),
            OMP_NUM_THREADS=str(threads),
            DEVICE=device,
            BURN_DEVICE={"cpu": "flex"}.get(device, device),
        )
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def peak(self):
        """The largest resident memory so far, in MB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1000

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def contestants(bench, threads, device):
    own = [Contestant(OURS, [bench, "--serve"], threads, device)]
    script = str(pathlib.Path(__file__).resolve())
    return own + [
        Contestant(name, [sys.executable, script, "--serve", name], threads, device)
        for name in PEERS
    ]


def build(device):
    """Builds the bench of this project, and returns its path."""
    command = ["cargo", "bench", "-p", "cutmix-vision", "--bench", "steps", "--no-run"]
    if device != "cpu":
        command += ["--features", device]
    output = subprocess.run(
        [*command, "--message-format", "json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    messages = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return next(
        message["executable"]
        for message in messages
        if message.get("executable") and message["target"]["name"] == "steps"
    )


def measure(bench, case, threads, train, rounds, device="cpu"):
    """The median seconds of each contestant in each round, and their peak memory."""
    name, shape, steps = case
    everyone = contestants(bench, threads, device)
    request = {"network": name, "shape": shape, "train": train, "steps": steps, "warm_up": 1}
    for one in everyone:
        one.ask(dict(request, warm_up=2))
    medians = {one.name: [] for one in everyone}
    for _ in range(rounds):
        for one in random.sample(everyone, len(everyone)):
            medians[one.name].append(statistics.median(one.ask(request)))
    peaks = {one.name: one.peak() for one in everyone}
    for one in everyone:
        one.end()
    return {"medians": medians, "peaks": peaks}


def entry(case, threads, train, result):
    """What the files of numbers have of a measurement."""
    name, shape, _ = case
    return {"network": name, "shape": shape, "threads": threads, "train": train, **result}


def spread(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return middle, low, high


def row(case, threads, train, result):
    name, shape, _ = case
    medians = result["medians"]
    milliseconds = [1e3 * statistics.median(medians[who]) for who in [OURS, *PEERS]]
    fastest = min(PEERS, key=lambda who: statistics.median(medians[who]))
    ratios = [peer / own for peer, own in zip(medians[fastest], medians[OURS])]
    middle, low, high = spread(ratios)
    kind = "training" if train else "evaluation"
    peaks = [f"{result['peaks'][who]:.0f}" for who in [OURS, *PEERS]]
    cells = [
        f"{name}, {' x '.join(map(str, shape))}",
        kind,
        str(threads),
        *(f"{value:.2f}" for value in milliseconds),
        f"**{middle:.2f}** ({low:.2f} to {high:.2f})",
        " / ".join(peaks),
    ]
    return "| " + " | ".join(cells) + " |"


HEAD = """\
| network and batch | | threads | this project, ms | PyTorch contiguous | channels last | \
faster PyTorch / this | peak MB |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def panel(axes, points):
    """One line for each contestant, with a band between the quartiles. A point is a place on the
    x axis and the values of each contestant there."""
    from matplotlib import ticker

    places = [place for place, _ in points]
    labels = ["this project", *(f"PyTorch, {name}" for name in PEERS)]
    for who, label, marker in zip([OURS, *PEERS], labels, ["o", "s", "^"]):
        middle, low, high = zip(*(spread(values[who]) for _, values in points))
        (line,) = axes.plot(places, middle, marker=marker, markersize=5, label=label)
        axes.fill_between(places, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(places)
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=[1, 2, 5]))
    for axis in [axes.xaxis, axes.yaxis]:
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(ticker.NullLocator())
    axes.grid(color="#e4e4e8")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def draw(path, data):
    """Training steps over the size of the batch, and over the width of the network."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    batches, widths = [], []
    for result in data:
        name, images = result["network"], result["shape"][0]
        scale, place, points = 1e3 / images, images, batches
        if name.startswith("width"):
            scale, place, points = 1e3, int(name.removeprefix("width")), widths
        medians = result["medians"]
        points.append((place, {who: [scale * value for value in medians[who]] for who in medians}))
    pyplot.rcParams["font.size"] = 12
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.8), dpi=110)
    panel(left, batches)
    left.set_title("training ResNet-20, images of 3 x 32 x 32")
    left.set(xlabel="size of the batch (images)", ylabel="milliseconds per image")
    panel(right, widths)
    right.set_title("training six blocks, batches of 32 x 3 x 32 x 32")
    right.set(xlabel="width of the first stage (channels)", ylabel="milliseconds per step")
    figure.tight_layout()
    figure.savefig(path)


def scaling(bench, rounds, only):
    """The measurements of the plots."""
    data = []
    for case in PLOT_CASES:
        if only in (None, case[0]):
            result = measure(bench, case, PLOT_THREADS, True, rounds)
            print(row(case, PLOT_THREADS, True, result), flush=True)
            data.append(entry(case, PLOT_THREADS, True, result))
    return data


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a few rounds; the table is printed only, the plots are written",
    )
    parser.add_argument("--rounds", type=int, help="15 for the table, 7 for the plots")
    parser.add_argument("--only", help="the network to measure; printed only")
    parser.add_argument("--plots", action="store_true", help="measure and draw docs/training.png")
    parser.add_argument("--draw", action="store_true", help="draw it from the last numbers")
    parser.add_argument("--cuda", action="store_true", help="measure an NVIDIA GPU; printed only")
    parser.add_argument("--bench", help="the bench `steps`, built before; installs no packages")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve_torch(options.serve)
        return
    if not options.bench:
        compare_peers.enter_environment()
    docs = ROOT / "docs"
    numbers, picture = docs / "training-scaling.json", docs / "training.png"
    if options.draw:
        draw(picture, json.loads(numbers.read_text()))
        return
    device = "cuda" if options.cuda else "cpu"
    bench = options.bench or build(device)
    if options.plots:
        rounds = 3 if options.quick else options.rounds or 7
        data = scaling(bench, rounds, options.only)
        if not options.only:
            numbers.write_text(json.dumps(data, indent=1) + "\n")
            draw(picture, data)
        return
    rounds = 5 if options.quick else options.rounds or 15
    rows, data = [], []
    for case in CUDA_CASES if options.cuda else CASES:
        if options.only not in (None, case[0]):
            continue
        for threads in [2] if options.quick or options.cuda else [1, 2]:
            for train in [True, False]:
                result = measure(bench, case, threads, train, rounds, device)
                rows.append(row(case, threads, train, result))
                print(rows[-1], flush=True)
                data.append(entry(case, threads, train, result))
    if options.quick or options.only or options.cuda:
        return
    (docs / "training.json").write_text(json.dumps(data, indent=1) + "\n")
    page = docs / "PERFORMANCE.md"
    today = datetime.date.today().isoformat()
    table = f"Measured on {today}, {rounds} rounds.\n\n{HEAD}" + "\n".join(rows) + "\n"
    page.write_text(replace(page.read_text(), "compare_training.py", table))


if __name__ == "__main__":
    main()
