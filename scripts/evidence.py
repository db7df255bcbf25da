#!/usr/bin/env python3
"""Runs the studies of docs/EVIDENCE.md, and writes what they found there and into docs/evidence.

    cargo build --release
    python3 scripts/evidence.py run WORK --mnist DIR                  # all of it but "larger", hours
    python3 scripts/evidence.py run WORK --mnist DIR --only headline  # one study
    python3 scripts/evidence.py write WORK

`run` can be stopped at any moment, and goes on. It keeps the studies in WORK, two runs at a time with
one thread each, which trains small networks faster than two threads on one run. The study "larger" needs
a program that is built with the feature `cuda`, and an NVIDIA GPU. DIR has the four IDX files of MNIST,
whose test set is told from that of Fashion-MNIST. `write` takes the studies that are finished, and draws
docs/evidence.png; it needs matplotlib.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import time
import tomllib

from distributed_cost import replace

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "EVIDENCE.md"
PICTURE = ROOT / "docs" / "evidence.png"
EVIDENCE = ROOT / "docs" / "evidence"

NONE, CUTMIX = "none", "cutmix:probability=0.5"
SMOOTHED = f"--algorithm {CUTMIX} --algorithm label-smoothing"
COMMON = "--limit 5000 --duration 60ep --batch-size 64 --val-fraction 0.1 --eval-interval 5ep --save-interval 10ep"
SMALL = "--model wrn10-2 --device cpu"
# That with the highest mean, in the study "tuning", of the validation accuracies without mixing and with CutMix.
RATE = "--learning-rate 0.2"
SHIFT = "--augment 'flip|shift:pixels=2'"
ROBUST = "--measure occlusion,fgsm --unlike {mnist}"
RATES = ["0.05", "0.1", "0.2", "0.4"]
VARIANTS = [
    CUTMIX,
    NONE,
    f"{CUTMIX},alpha=0.2",
    f"{CUTMIX},alpha=4",
    "cutmix",
    f"{CUTMIX},mode=sample",
    f"{CUTMIX},interpolate-loss=true",
    f"{CUTMIX},until=0.9dur",
    "mixup:probability=0.5",
    "cutout:probability=0.5",
    "resizemix:probability=0.5",
    "fmix:probability=0.5",
    "label-smoothing",
]


def algorithms(*names):
    return " ".join(f"--algorithm {name}" for name in names)


def tuned(algorithm, rate):
    return f"--algorithm {algorithm} --learning-rate {rate}"


STUDIES = {
    "tuning": " ".join(f"--row '{tuned(name, rate)}'" for rate in RATES for name in [NONE, CUTMIX])
    + f" --seeds 100 {SHIFT} {SMALL}",
    "headline": f"{algorithms(NONE, CUTMIX)} --seeds 0..4 {RATE} {SHIFT} {ROBUST} {SMALL}",
    "larger": f"{algorithms(NONE, CUTMIX)} --seeds 0..2 {RATE} {SHIFT} {ROBUST} --model wrn16-4 --device cuda",
    "ablations": f"{algorithms(*VARIANTS)} --row '{SMOOTHED}' --seeds 0..2 {RATE} {SHIFT} {ROBUST} {SMALL}",
    "localisation": f"{algorithms(NONE, CUTMIX)} --seeds 0..4 {RATE} --size 48 --augment 'flip|shift:pixels=3' "
    f"--data cluttered-fashion --measure localisation,occlusion {SMALL}",
}
ON_GPU = "larger"


def command(study, mnist):
    """The arguments of a study."""
    return f"compare {STUDIES[study]} {COMMON} --output {study}".replace("{mnist}", shlex.quote(str(mnist)))


def run(options):
    release = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    program = (options.program or release / "cutmix").resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ, RAYON_NUM_THREADS="1")

    def turn(study):
        arguments = shlex.split(command(study, options.mnist.resolve()))
        subprocess.run([program, *arguments], cwd=options.work, env=environment, check=True)

    for study in options.only or [study for study in STUDIES if study != ON_GPU]:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            first = pool.submit(turn, study)
            # The second process joins the plan of the first.
            while not first.done() and not (options.work / study / "study.toml").exists():
                time.sleep(1)
            if first.done():
                first.result()
            for process in [first, pool.submit(turn, study)]:
                process.result()


def table(folder):
    return {measure["name"]: measure for measure in json.loads((folder / "table.json").read_text())}


def is_finished(folder):
    """Whether a study has all of its runs."""
    if not (folder / "study.toml").exists():
        return False
    plan = tomllib.loads((folder / "study.toml").read_text())
    return len(list((folder / "results").glob("*.json"))) == len(plan["row"]) * len(plan["seeds"])


def shown(measure, value, sign=""):
    digits = 2 if measure["unit"] == "%" else 3
    return f"{value:{sign}.{digits}f}"


def title(measure):
    unit = " (%)" if measure["unit"] == "%" and not measure["name"].endswith("%") else ""
    better = "" if measure["higher-is-better"] else ", lower is better"
    return f"{measure['name']}{unit}{better}"


def mean(measure, row):
    found = row["mean"]
    error = found["standard-error"]
    spread = "" if error is None else f" ± {shown(measure, error)}"
    return shown(measure, found["mean"]) + spread


def difference(measure, row):
    found = row["difference"]
    if not found:
        return ""
    text = shown(measure, found["mean"], "+")
    if found["interval"] is None:
        return f"{text} (one seed)"
    low, high = (shown(measure, end, "+") for end in found["interval"])
    return f"{text} ({low} to {high})"


def tuning(folder):
    accuracy = table(folder)["validation accuracy"]["rows"]
    values = {row["row"]: row["mean"]["mean"] for row in accuracy}
    lines = ["| learning rate | none | CutMix | mean |", "| --- | ---: | ---: | ---: |"]
    for rate in RATES:
        both = [values[tuned(name, rate)] for name in [NONE, CUTMIX]]
        lines.append(f"| {rate} | {both[0]:.1f} | {both[1]:.1f} | {sum(both) / 2:.2f} |")
    return lines


def measures(folder):
    """A row for each measure: both means, and their difference."""
    lines = ["| | none | CutMix | difference |", "| --- | ---: | ---: | ---: |"]
    for name, measure in table(folder).items():
        # Of occlusion, the means over all shares, and one share as an example.
        if re.search(r", \d", name) and name != "occlusion, random, 25 %":
            continue
        none, cutmix = measure["rows"]
        cells = [mean(measure, none), mean(measure, cutmix), difference(measure, cutmix)]
        lines.append(f"| {title(measure)} | {' | '.join(cells)} |")
    return lines


def ablations(folder):
    """A row for each row of the study, and its difference to the first one."""
    found = table(folder)
    names = ["accuracy", "occlusion, random", "occlusion, random, 25 %", "fgsm", "detection, AUROC", "calibration error"]
    columns = [found[name] for name in names]
    lines = [
        f"| | {' | '.join(map(title, columns))} |",
        f"| --- | {' | '.join('---:' for _ in columns)} |",
    ]
    for at, row in enumerate(columns[0]["rows"]):
        cells = [
            "<br>".join(filter(None, [mean(column, column["rows"][at]), difference(column, column["rows"][at])]))
            for column in columns
        ]
        lines.append(f"| `{row['row']}` | {' | '.join(cells)} |")
    return lines


TABLES = {
    "tuning": tuning,
    "headline": measures,
    "larger": measures,
    "ablations": ablations,
    "localisation": measures,
}


def wrapped(text):
    """A command over lines, broken before options."""
    lines = ["cutmix compare"]
    for option in re.findall(r"--[\w-]+ (?:'[^']*'|\S+)", text):
        if len(lines[-1]) + len(option) > 100:
            lines.append("   ")
        lines[-1] += f" {option}"
    return " \\\n".join(lines)


def runs(folder, study):
    """What was run, and how long it took."""
    results = [json.loads(path.read_text()) for path in (folder / "results").glob("*.json")]
    hours = sum(result["seconds"] for result in results) / 3600
    images = results[0]["images"]
    return [
        f"{len(results)} runs, {hours:.1f} hours of training in all; measured on {images:,} test images:",
        "",
        "```sh",
        wrapped(command(study, "mnist")),
        "```",
        "",
    ]


# Where the black box is, and the style of its line.
PLACES = {"random": "-", "centre": "--", "border": ":"}


def draw(folder):
    """Accuracy by seed and epoch, and where a part of each image is black."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    results = [json.loads(path.read_text()) for path in sorted((folder / "results").glob("*.json"))]
    pyplot.rcParams["font.size"] = 12
    figure, panels = pyplot.subplots(1, 3, figsize=(15, 4.8), dpi=100)
    by_seed, by_epoch, by_share = panels
    for row, color, name in [(NONE, "#5b6470", "none"), (CUTMIX, "#d9480f", "CutMix")]:
        own = [result for result in results if result["row"] == row]
        seeds = [result["seed"] for result in own]
        accuracy = [result["scores"]["accuracy"] for result in own]
        by_seed.plot(seeds, accuracy, "o", color=color, label=name)
        by_seed.axhline(sum(accuracy) / len(accuracy), color=color, linewidth=1)
        epochs = [report["epoch"] for report in own[0]["history"]]
        curves = [[report["scores"]["val/accuracy"] for report in result["history"]] for result in own]
        band(by_epoch, epochs, curves, color, "-")
        for place, style in PLACES.items():
            shares = [100 * share for share in own[0]["occlusion"]["shares"]]
            curves = [[100 * value for value in result["occlusion"][place]] for result in own]
            band(by_share, shares, curves, color, style)
    by_seed.set(title="test accuracy (%), line: mean", xlabel="seed", xticks=seeds)
    by_epoch.set(title="validation accuracy (%), band: all seeds", xlabel="epoch", ylim=(75, 94))
    by_share.set(title="test accuracy (%), occluded", xlabel="black share of the image (%)")
    by_seed.legend(frameon=False)
    lines = [pyplot.Line2D([], [], color="black", linestyle=style) for style in PLACES.values()]
    by_share.legend(lines, PLACES, frameon=False, loc=(0.7, 0.18))
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(PICTURE)


def band(panel, places, curves, color, style):
    columns = list(zip(*curves))
    means = [sum(column) / len(column) for column in columns]
    panel.plot(places, means, style, color=color)
    low, high = [min(column) for column in columns], [max(column) for column in columns]
    panel.fill_between(places, low, high, color=color, alpha=0.15, linewidth=0)


def write(options):
    if options.work.resolve() == EVIDENCE:
        raise SystemExit(f"{EVIDENCE} is written; WORK is where the studies ran")
    page = PAGE.read_text()
    for study, lines in TABLES.items():
        folder = options.work / study
        if not is_finished(folder):
            print(f"left out, since it is not finished: {folder}")
            continue
        target = EVIDENCE / study
        shutil.rmtree(target, ignore_errors=True)
        (target / "results").mkdir(parents=True)
        plan = (folder / "study.toml").read_text()
        mnist = tomllib.loads(plan)["measures"].get("unlike", "")
        files = ["study.toml", "runs.csv", "table.csv", "table.json"]
        for path in [folder / name for name in files] + list((folder / "results").glob("*.json")):
            # Where MNIST lies is of no interest.
            text = path.read_text().replace(f'"{mnist}"', '"mnist"') if mnist else path.read_text()
            (target / path.relative_to(folder)).write_text(text)
        page = replace(page, study, "\n".join(runs(folder, study) + lines(folder)) + "\n")
        if study == "headline":
            draw(folder)
    PAGE.write_text(page)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    turns = parser.add_subparsers(required=True)
    for name, function in [("run", run), ("write", write)]:
        one = turns.add_parser(name)
        one.add_argument("work", type=pathlib.Path, help="folder of the studies")
        one.set_defaults(function=function)
        if name == "run":
            one.add_argument("--mnist", type=pathlib.Path, required=True, help="folder of MNIST's files")
            one.add_argument("--only", nargs="+", choices=STUDIES, help="these studies")
            one.add_argument("--program", type=pathlib.Path, help="the program [default: that of cargo build --release]")
    options = parser.parse_args()
    options.function(options)


if __name__ == "__main__":
    main()
