#!/usr/bin/env python3
"""Opens a report.html in headless Chromium and checks what is rendered.

    scripts/check_report.py runs/001/report.html [--screenshots DIR] [--chromium PATH]

On a phone (360 pixels) and a desktop (1200 pixels), in light and dark: nothing is wider than the
window, every section is seen, every picture is there and has a text, headings are in order, regions
have names of their own, heads of tables say of what they are, and text has enough contrast. Nothing is loaded from elsewhere. On paper the page is light, whatever the system
prefers, and no page is blank. Needs Chromium, and Pillow.
"""

import argparse
import base64
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from PIL import Image

WIDTHS = {"phone": 360, "desktop": 1200}
SCHEMES = ["light", "dark"]

# What a window of some width shows. Contrast is that of WCAG 2.2, of all texts that are seen.
LOOK = """
(() => {
  const channels = (color) => {
    const numbers = color.match(/[-+.\\deE]+/g).map(Number);
    const unit = color.startsWith("color(") ? 1 : 255;
    const [red, green, blue, alpha = 1] = numbers;
    return [red / unit, green / unit, blue / unit, alpha];
  };
  const over = (front, back) => front.slice(0, 3).map((value, at) => value * front[3] + back[at] * (1 - front[3]));
  const background = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(channels(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((back, front) => over(front, back), [1, 1, 1]);
  };
  const luminance = (color) => {
    const linear = color.map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const contrast = (element) => {
    const style = getComputedStyle(element);
    const back = background(element);
    const ink = element.namespaceURI.endsWith("svg") ? style.fill : style.color;
    const [light, dark] = [luminance(over(channels(ink), back)), luminance(back)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const has_text = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const is_seen = (element) => element.getClientRects().length > 0;
  const texts = [...document.querySelectorAll("body *")].filter((element) => has_text(element) && is_seen(element));
  const wide = [...document.querySelectorAll("body *")].filter((element) => {
    const inside = element.closest(".scroll, svg");
    return (!inside || inside === element) && element.getBoundingClientRect().right > innerWidth + 0.5;
  });
  return {
    width: document.documentElement.scrollWidth,
    inner: innerWidth,
    wide: wide.map((element) => `${element.tagName}.${element.className}`),
    background: background(document.body),
    title: document.title,
    language: document.documentElement.lang,
    headings: [...document.querySelectorAll("h1, h2, h3, h4")].map((one) => Number(one.tagName[1])),
    hidden: [...document.querySelectorAll("section, figure, table")].filter((one) => one.getBoundingClientRect().height < 20).length,
    sections: document.querySelectorAll("section").length,
    pictures: [...document.images].map((one) => [one.alt, one.naturalWidth]),
    charts: [...document.querySelectorAll("svg[role=img]")].map((one) => one.getAttribute("aria-label")),
    regions: [...document.querySelectorAll("[role=region]")].map((one) => one.getAttribute("aria-label")),
    heads: [...document.querySelectorAll("th:not([scope])")].map((one) => one.textContent),
    small: Math.min(...texts.map((one) => {
      const scale = one.getScreenCTM ? one.getScreenCTM().a : 1;
      return parseFloat(getComputedStyle(one).fontSize) * scale;
    })),
    faint: texts.filter((one) => contrast(one) < 4.5).map((one) => `${one.textContent.trim().slice(0, 40)} (${contrast(one).toFixed(2)})`),
    height: document.documentElement.scrollHeight,
  };
})()
"""


class Browser:
    """Chromium, spoken to in its DevTools protocol over two pipes."""

    def __init__(self, program, profile):
        to_browser, self.requests = os.pipe()
        self.replies, from_browser = os.pipe()
        arguments = [
            program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe",
            "--no-first-run", f"--user-data-dir={profile}", "about:blank",
        ]  # fmt: skip

        def connect():
            # Chromium reads from 3 and writes to 4. Copies keep one from replacing the other.
            reader, writer = os.dup(to_browser), os.dup(from_browser)
            os.dup2(reader, 3)
            os.dup2(writer, 4)

        self.process = subprocess.Popen(
            arguments, preexec_fn=connect, close_fds=False, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        self.waiting = b""
        self.number = 0
        self.session = None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def read(self):
        while b"\0" not in self.waiting:
            part = os.read(self.replies, 1 << 20)
            if not part:
                raise RuntimeError("Chromium has ended")
            self.waiting += part
        message, self.waiting = self.waiting.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        request = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.requests, json.dumps(request).encode() + b"\0")
        while True:
            reply = self.read()
            if reply.get("id") == self.number:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']}")
                return reply["result"]
            self.events.append(reply)

    def open(self, address):
        self.call("Page.navigate", url=address)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.read())

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"]["value"]

    def media(self, scheme, kind="screen"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=kind, features=features)

    def close(self):
        self.process.terminate()
        self.process.wait()


def check(condition, what, *details):
    """Ends with what is wrong."""
    if not condition:
        sys.exit(f"{what}: {', '.join(map(str, details))}")


def lightness(color):
    return sum(color[:3]) / 3


def check_window(found, name):
    check(found["width"] <= found["inner"] and not found["wide"], f"{name}: wider than the window", *found["wide"])
    check(found["title"] and found["language"] == "en", f"{name}: no title or no language")
    check(found["sections"] >= 3, f"{name}: sections are missing", found["sections"])
    check(found["hidden"] == 0, f"{name}: parts that are not seen", found["hidden"])
    levels = found["headings"]
    steps = zip(levels, levels[1:])
    check(levels[:1] == [1] and levels.count(1) == 1, f"{name}: not one first heading", levels)
    check(all(after <= before + 1 for before, after in steps), f"{name}: headings leave out a level", levels)
    check(all(alt and width for alt, width in found["pictures"]), f"{name}: a picture without text or content")
    check(found["charts"] and all(found["charts"]), f"{name}: a chart without a description")
    long = [words for words in found["charts"] if re.search(r"[1-9][\d.]{6}", words)]
    check(not long, f"{name}: a description with numbers of many digits", *long)
    regions = found["regions"]
    check(len(set(regions)) == len(regions), f"{name}: regions of one name", *regions)
    check(not found["heads"], f"{name}: heads that do not say of what", *found["heads"])
    check(not found["faint"], f"{name}: too little contrast", *found["faint"][:8])
    check(found["small"] >= 9, f"{name}: text of {found['small']:.1f} pixels")


def pages(pdf):
    """The content of each page of a PDF file by Chromium."""
    objects = {int(number): body for number, body in re.findall(rb"(?s)(\d+) 0 obj\b(.*?)\bendobj", pdf)}
    for body in objects.values():
        if re.search(rb"/Type\s*/Page\b", body):
            contents = objects[int(re.search(rb"/Contents (\d+) 0 R", body)[1])]
            yield zlib.decompress(re.search(rb"(?s)stream\r?\n(.*)", contents)[1])


def check_print(browser, folder):
    browser.call("Emulation.clearDeviceMetricsOverride")
    browser.media("dark", "print")
    background = browser.evaluate(LOOK)["background"]
    check(lightness(background) > 0.95, "print: the page is not white", background)
    browser.media("dark", "")
    printed = browser.call("Page.printToPDF", printBackground=False, preferCSSPageSize=True)
    pdf = base64.b64decode(printed["data"])
    found = list(pages(pdf))
    check(found, "print: no pages")
    for number, content in enumerate(found, 1):
        drawn = re.findall(rb"\bT[jJ]\b|\bDo\b", content)
        check(len(drawn) > 2, f"print: page {number} of {len(found)} is blank")
    if folder:
        (folder / "print.pdf").write_bytes(pdf)
    return len(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--screenshots", type=Path, help="folder for a picture of each window")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    arguments = parser.parse_args()
    check(arguments.chromium, "Chromium is not installed")
    if arguments.screenshots:
        arguments.screenshots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile, contextlib.closing(Browser(arguments.chromium, profile)) as browser:
        for domain in ["Page", "Network", "Runtime", "Log"]:
            browser.call(f"{domain}.enable")
        browser.open(arguments.report.resolve().as_uri())
        for scheme in SCHEMES:
            for device, width in WIDTHS.items():
                browser.media(scheme)
                metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": device == "phone"}
                browser.call("Emulation.setDeviceMetricsOverride", **metrics)
                name = f"{device}, {scheme}"
                found = browser.evaluate(LOOK)
                check_window(found, name)
                shot = browser.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
                shot = base64.b64decode(shot["data"])
                corner = Image.open(io.BytesIO(shot)).convert("RGB").getpixel((2, 2))
                is_light = lightness(corner) > 128
                check(is_light == (scheme == "light"), f"{name}: the page is not {scheme}", corner)
                if arguments.screenshots:
                    clip = {"x": 0, "y": 0, "width": width, "height": found["height"], "scale": 1}
                    whole = browser.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
                    path = arguments.screenshots / f"{device}-{scheme}.png"
                    path.write_bytes(base64.b64decode(whole["data"]))
        count = check_print(browser, arguments.screenshots)
        urls = [event["params"]["request"]["url"] for event in browser.events if event.get("method") == "Network.requestWillBeSent"]
        loaded = [url for url in urls if not url.startswith(("file:", "data:", "about:"))]
        check(not loaded, "loaded from elsewhere", *loaded)
        complaints = [event for event in browser.events if event.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown")]
        check(not complaints, "the browser complains", *complaints)
    print(f"{arguments.report}: {len(found['pictures'])} pictures, {len(found['charts'])} charts, {count} pages on paper")


if __name__ == "__main__":
    main()
