"""Makes JPEG files that are like photographs, the same ones for the same seed.

    python scripts/make_photos.py --out photos

Each picture is a scene of dead leaves (Lee, Mumford, Huang, "Occlusion models for natural images", 2001):
overlapping shapes whose sizes follow a power law, as edges in photographs do, each with a colour, a shade and a
texture of its own; a part of the picture is blurred, and all of it has a little noise. The files have as many bits for
each pixel as photographs of the same quality. Needs numpy and Pillow.
"""
import argparse
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

def noise_field(rng, h, w, power):
    """1/f**power noise, mean 0, standard deviation 1."""
    fy = np.fft.fftfreq(h)[:, None]
    fx = np.fft.rfftfreq(w)[None, :]
    f = np.sqrt(fy * fy + fx * fx)
    f[0, 0] = 1.0
    white = np.fft.rfft2(rng.standard_normal((h, w), dtype=np.float32))
    out = np.fft.irfft2(white / f**power, (h, w)).astype(np.float32)
    return (out - out.mean()) / (out.std() + 1e-9)

def photo(rng, h, w, shapes, sensor):
    ys = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
    top, bottom = rng.uniform(60, 230, 3), rng.uniform(20, 200, 3)
    pic = (1 - ys) * top.astype(np.float32) + ys * bottom.astype(np.float32)
    pic = np.broadcast_to(pic, (h, w, 3)).copy()
    pic += noise_field(rng, h, w, 1.9)[..., None] * rng.uniform(8, 25, 3).astype(np.float32)
    fields = [noise_field(rng, h, w, p) for p in (1.0, 1.25, 1.6)]
    fine = fields[0]
    label = Image.new("I", (w, h), 0)
    draw = ImageDraw.Draw(label)
    size = min(h, w)
    radii = size * 0.6 * (1 / (1 + rng.pareto(1.1, shapes) * 0.5))
    for i, r in enumerate(np.sort(np.clip(radii, size * 0.006, size * 0.5))[::-1], 1):
        cx, cy = rng.uniform(0, w), rng.uniform(h * 0.15, h)
        if i % 3:
            a = rng.uniform(0, 2 * np.pi)
            n = rng.integers(3, 8)
            t = a + np.sort(rng.uniform(0, 2 * np.pi, n))
            rr = r * rng.uniform(0.5, 1.2, n)
            draw.polygon([(cx + q * np.cos(u), cy + q * np.sin(u)) for q, u in zip(rr, t)], fill=i)
        else:
            s = rng.uniform(0.4, 1.0)
            draw.ellipse([cx - r, cy - s * r, cx + r, cy + s * r], fill=i)
    lab = np.asarray(label)
    hue = rng.uniform(10, 235, (shapes + 1, 1)) + rng.normal(0, 28, (shapes + 1, 3))
    amp = rng.gamma(2.0, 11.0, shapes + 1)
    kind = rng.integers(0, 3, shapes + 1)
    sx, sy = rng.normal(0, 40, shapes + 1), rng.normal(0, 40, shapes + 1)
    gx = np.linspace(-1, 1, w, dtype=np.float32)[None, :]
    gy = np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    inside = lab > 0
    texture = np.choose(kind[lab], fields) * amp[lab]
    shade = texture + sx[lab] * gx + sy[lab] * gy
    body = hue[lab] + shade[..., None] * np.array([1.0, 0.95, 0.85])
    pic = np.where(inside[..., None], body, pic).astype(np.float32)
    pic += fine[..., None] * 2.0
    sharp = Image.fromarray(np.clip(pic, 0, 255).astype(np.uint8))
    sharp = sharp.filter(ImageFilter.GaussianBlur(0.4 if size < 1000 else 0.8))
    soft = sharp.filter(ImageFilter.GaussianBlur(size * 0.006))
    mask = 1 / (1 + np.exp(-3 * noise_field(rng, h, w, 2.2) - rng.uniform(-1.5, 2.0)))
    mask = Image.fromarray((mask * 255).astype(np.uint8))
    pic = np.asarray(Image.composite(sharp, soft, mask)).astype(np.float32)
    grain = rng.standard_normal((h, w, 3), dtype=np.float32)
    pic += grain * sensor * (0.5 + pic.mean(-1, keepdims=True) / 255)
    return Image.fromarray(np.clip(pic, 0, 255).astype(np.uint8))

def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--out", default="photos")
    ap.add_argument("--seed", type=int, default=7)
    ap.add_argument("--small", type=int, default=64)
    ap.add_argument("--large", type=int, default=16)
    o = ap.parse_args()
    for kind, count in (("small", o.small), ("large", o.large)):
        total = 0
        for i in range(count):
            rng = np.random.default_rng([o.seed, i, kind == "large"])
            if kind == "small":
                w, h = [(500, 375), (375, 500), (500, 333), (500, 375), (640, 480), (500, 375), (500, 500), (500, 375)][i % 8]
                quality = int(rng.integers(90, 96))
                pic = photo(rng, h, w, int(rng.integers(250, 1200)), rng.uniform(1.8, 4.2))
            else:
                w, h = (4000, 3000) if i % 4 else (3000, 4000)
                quality = 90
                pic = photo(rng, h, w, int(rng.integers(400, 1600)), rng.uniform(5.5, 7.5))
            sampling = "4:4:4" if i % 8 == 3 else "4:2:0"
            progressive = i % 16 == 5
            folder = os.path.join(o.out, kind, "ab"[i % 2])
            os.makedirs(folder, exist_ok=True)
            path = os.path.join(folder, f"{i:03d}.jpg")
            pic.save(path, quality=quality, subsampling=sampling, progressive=progressive)
            n = os.path.getsize(path)
            total += n
            print(f"{path} {w}x{h} q{quality} {sampling} {'prog' if progressive else 'base'} {n/1000:.0f} kB {n*8/w/h:.2f} bpp", flush=True)
        print(f"{kind}: mean {total/max(count,1)/1000:.0f} kB")

main()
