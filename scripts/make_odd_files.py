"""Makes damaged, unusual and well-formed small files for the tests of data reading.

    pip install pillow numpy pyarrow
    python scripts/make_odd_files.py crates/cutmix-vision/tests/odd_files

Everything is made from nothing and is the same in each run with the same versions of the libraries.
Without pyarrow the parquet files are left out.
"""

import argparse
import gzip
import io
import json
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

SEED = 7
CLASSES = ["cat", "dog", "owl"]


def picture(height=160, width=216, shift=0.0):
    """An RGB picture with smooth and sharp parts, as an array of bytes."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 127 + 120 * np.sin(x / 9 + shift)
    green = 255 * y / height
    blue = 255 * (((x // 16) + (y // 16)) % 2)
    noise = np.random.default_rng(SEED).normal(0, 6, (height, width, 3))
    values = np.stack([red, green, blue], axis=2) + noise
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(values, bits):
    """A PNG file of an array of 16-bit or 8-bit values with 1 to 4 channels."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    height, width = values.shape[:2]
    rows = values.astype(">u2" if bits == 16 else "u1").tobytes()
    stride = len(rows) // height
    lines = b"".join(b"\0" + rows[row * stride : (row + 1) * stride] for row in range(height))
    return png_chunks(width, height, bits, color, zlib.compress(lines, 9))


def png_chunks(width, height, bits, color, data):
    def chunk(kind, content):
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def images():
    """Names and contents of single image files."""
    values = picture()
    image = Image.fromarray(values)
    jpeg = encoded(image, "JPEG", quality=85)
    for percent in (30, 60, 90):
        yield f"images/cut_{percent}.jpg", jpeg[: len(jpeg) * percent // 100]
    middle = len(jpeg) // 2
    yield "images/hole.jpg", jpeg[: middle - 1024] + jpeg[middle + 1024 :]
    yield "images/garbage_after_end.jpg", jpeg + bytes(range(256)) * 4
    yield "images/progressive.jpg", encoded(image, "JPEG", quality=85, progressive=True)
    yield "images/cmyk.jpg", encoded(image.convert("CMYK"), "JPEG", quality=85)
    yield "images/grey.jpg", encoded(image.convert("L"), "JPEG", quality=85)
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "images/rotated.jpg", encoded(image, "JPEG", quality=85, exif=exif.tobytes())
    yield "images/jpeg.txt", encoded(image.resize((32, 24)), "JPEG", quality=85)

    small = picture(16, 24)
    grey = small[:, :, 0].astype(np.uint16)
    yield "images/values_of_12_bits.png", png(grey * 16, 16)
    yield "images/values_of_16_bits.png", png(small.astype(np.uint16) * 257, 16)
    alpha = np.repeat(np.arange(0, 240, 10, dtype=np.uint8)[None], 16, axis=0)
    yield "images/grey_and_alpha.png", png(np.dstack([small[:, :, 0], alpha]), 8)
    palette = Image.fromarray(small).quantize(8)
    yield "images/palette_and_transparency.png", encoded(palette, "PNG", transparency=2)
    yield "images/png.jpg", png(small, 8)
    frames = [Image.fromarray(picture(16, 24, shift)) for shift in (0.0, 1.0, 2.0)]
    animation = {"save_all": True, "append_images": frames[1:], "duration": 100}
    yield "images/animation.gif", encoded(frames[0], "GIF", **animation)
    yield "images/values_of_16_bits.tif", encoded(Image.fromarray(grey * 257), "TIFF")

    yield "images/empty.jpg", b""
    yield "images/page.jpg", b"<!DOCTYPE html>\n<title>404 Not Found</title>\n<p>Not here.</p>\n"
    yield "images/claims_60000.png", png_chunks(60_000, 60_000, 8, 2, zlib.compress(bytes(64)))
    start = jpeg.index(b"\xff\xc0")
    size = struct.pack(">HH", 60_000, 60_000)
    yield "images/claims_60000.jpg", jpeg[: start + 5] + size + jpeg[start + 9 : start + 700]


def tile(number):
    """A PNG file of 8 x 8 pixels of one colour, which tells its number."""
    color = ((number * 37) % 256, (number * 91) % 256, number % 256)
    return png(np.full((8, 8, 3), color, dtype=np.uint8), 8)


def tar(members, form=tarfile.GNU_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def samples(numbers, folder=""):
    """The files of samples of a shard, with a label of 0 to 2."""
    for number in numbers:
        yield f"{folder}{number:06}.png", tile(number)
        yield f"{folder}{number:06}.cls", str(number % 3).encode()


def shards():
    """Tar shards: two of a training set, one for validation, and odd ones."""
    yield "shards/train-0000.tar", tar(samples(range(6)))
    packed = tar(samples(range(6, 12)), tarfile.USTAR_FORMAT)
    yield "shards/train-0001.tar.gz", gzip.compress(packed, mtime=0)
    yield "shards/val-0000.tar", tar(samples(range(100, 103)))
    yield "shards/classes.txt", "\n".join(CLASSES).encode() + b"\n"
    folder = "a_folder_with_a_rather_long_name/" * 5
    yield "odd_shards/long_names_gnu.tar", tar(samples(range(3), folder))
    yield "odd_shards/long_names_pax.tar", tar(samples(range(3), folder), tarfile.PAX_FORMAT)
    whole = tar(samples(range(6)))
    yield "odd_shards/cut.tar", whole[: len(whole) // 3 + 40]
    yield "odd_shards/cut.tar.gz", gzip.compress(whole, mtime=0)[:-400]


def idx(values):
    kind = 0x0800 + values.ndim
    return struct.pack(f">I{values.ndim}I", kind, *values.shape) + values.astype(np.uint8).tobytes()


def emnist():
    """Two data sets like those of EMNIST: images stored column by column, labels from 1 on."""
    rows = np.arange(5 * 4, dtype=np.uint8).reshape(5, 4)
    for variant, labels in (("letters", [1, 2, 3, 1]), ("digits", [0, 1, 2, 3])):
        for part, count in (("train", 4), ("test", 2)):
            upright = np.stack([rows + 40 * number for number in range(count)])
            stored = upright.transpose(0, 2, 1)
            start = f"emnist/emnist-{variant}-{part}"
            files = {"images-idx3": idx(stored), "labels-idx1": idx(np.array(labels[:count]))}
            for name, content in files.items():
                yield f"{start}-{name}-ubyte.gz", gzip.compress(content, mtime=0)
    mapping = "".join(f"{label} {64 + label} {96 + label}\n" for label in range(1, 27))
    yield "emnist/emnist-letters-mapping.txt", mapping.encode()
    digits = "".join(f"{label} {48 + label}\n" for label in range(4))
    yield "emnist/emnist-digits-mapping.txt", digits.encode()


def parquet_files():
    """Files as the library `datasets` writes them, and others with other columns."""
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        print("pyarrow is not installed: the parquet files are left out")
        return
    image = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    labels = {"label": {"names": CLASSES, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    description = {"huggingface": json.dumps({"info": {"features": labels}})}

    def file(numbers, column, kind, of=lambda number: number % 3, metadata=description, **options):
        cells = [{"bytes": tile(number), "path": f"{number}.png"} for number in numbers]
        schema = arrow.schema([("image", image), (column, kind)], metadata=metadata)
        table = {"image": cells, column: [of(number) for number in numbers]}
        out = io.BytesIO()
        options = {"row_group_size": 4, "compression": "snappy"} | options
        parquet.write_table(arrow.table(table, schema=schema), out, **options)
        return out.getvalue()

    whole = arrow.int64()
    yield "hf/data/train-00000-of-00002.parquet", file(range(10), "label", whole)
    yield "hf/data/train-00001-of-00002.parquet", file(range(10, 15), "label", whole)
    yield "hf/data/validation-00000-of-00001.parquet", file(range(100, 103), "label", whole)
    none = file(range(200, 203), "label", whole, lambda _: -1)
    yield "hf/data/test-00000-of-00001.parquet", none
    several = file(
        range(9),
        "labels",
        arrow.list_(arrow.int32()),
        lambda number: list(range(number % 4)),
        metadata=None,
        compression="zstd",
        data_page_version="2.0",
    )
    yield "odd_parquet/several.parquet", several
    names = file(
        range(9), "label", arrow.string(), lambda n: CLASSES[n % 3], None, compression="gzip"
    )
    yield "odd_parquet/names.parquet", names
    rows = [{"bytes": None if n == 2 else tile(n), "path": f"{n}.png"} for n in range(6)]
    missing = arrow.table({"image": arrow.array(rows, image), "label": [0, 1] * 3})
    out = io.BytesIO()
    parquet.write_table(missing, out)
    yield "odd_parquet/one_image_missing.parquet", out.getvalue()
    plain = arrow.table({"img": [tile(n) for n in range(4)], "fine_label": [0, 1, None, 1]})
    out = io.BytesIO()
    parquet.write_table(plain, out, compression="none", use_dictionary=False)
    yield "odd_parquet/one_label_missing.parquet", out.getvalue()
    out = io.BytesIO()
    parquet.write_table(arrow.table({"text": ["a", "b"], "label": [0, 1]}), out)
    yield "odd_parquet/no_images.parquet", out.getvalue()
    out = io.BytesIO()
    parquet.write_table(arrow.table({"image": [tile(0)], "width": [8]}), out)
    yield "odd_parquet/no_labels.parquet", out.getvalue()
    out = io.BytesIO()
    brotli = arrow.table({"image": [tile(0), tile(1)], "label": [0, 1]})
    parquet.write_table(brotli, out, compression="brotli")
    yield "odd_parquet/brotli.parquet", out.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder for the files")
    folder = parser.parse_args().folder
    total = 0
    for source in (images, shards, emnist, parquet_files):
        for name, content in source():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            total += len(content)
    print(f"{total} bytes in {folder}")


if __name__ == "__main__":
    main()
