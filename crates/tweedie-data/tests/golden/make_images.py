"""What Pillow 13 and torchvision 0.28 make of images:  python make_images.py > images.json"""
import io
import json

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, functional


def pattern(height, width):
    """Ramps and a grid, `[height, width, 3]`: the tests make the same."""
    y, x, c = np.ogrid[:height, :width, :3]
    return ((x * 5 + y * 3 + c * 40 + (x * y) % 17) % 256).astype(np.uint8)


def saved(image, **settings):
    file = io.BytesIO()
    image.save(file, **settings)
    return list(file.getvalue())


FILTERS = dict(box=Image.Resampling.BOX, bilinear=Image.Resampling.BILINEAR,
               bicubic=Image.Resampling.BICUBIC, lanczos=Image.Resampling.LANCZOS)
image = Image.fromarray(pattern(37, 53))
resized = [
    dict(filter=name, size=[h, w], pixels=np.asarray(image.resize((w, h), f)).ravel().tolist())
    for name, f in FILTERS.items() for h, w in [(9, 11), (40, 60)]
]
# The largest part of the shape, then resized: Image.crop and Image.resize.
cropped = np.asarray(image.crop((8, 0, 45, 37)).resize((8, 8), Image.Resampling.BICUBIC))

# Single precision, [-1, 1], as the loader's maps work.
tensor = torch.from_numpy(pattern(37, 53)).permute(2, 0, 1).float() / 127.5 - 1
floats = [
    dict(filter=mode.value, values=functional.resize(tensor, [9, 11], mode, antialias=True)
         .flatten().mul(1e5).round().int().tolist())
    for mode in [InterpolationMode.BILINEAR, InterpolationMode.BICUBIC]
]

flat = Image.new("RGB", (16, 16), (200, 100, 50))
palette = Image.fromarray(pattern(4, 4)).quantize(16)
turned = Image.fromarray(np.kron(np.array([[0, 255]], np.uint8), np.ones((16, 16), np.uint8)))
exif = Image.Exif()
exif[0x0112] = 6  # Orientation: to be turned by 90° clockwise
print(json.dumps(dict(
    resized=resized, cropped=cropped.ravel().tolist(), floats=floats,
    grey=np.asarray(Image.fromarray(pattern(4, 4)).convert("L")).ravel().tolist(),
    cmyk=dict(file=saved(flat.convert("CMYK"), format="JPEG", quality=95),
              pixel=list(flat.convert("CMYK").convert("RGB").getpixel((8, 8)))),
    palette=dict(file=saved(palette, format="PNG"),
                 pixels=np.asarray(palette.convert("RGB")).ravel().tolist()),
    turned=saved(turned, format="JPEG", quality=95, exif=exif),
    progressive=saved(flat, format="JPEG", quality=95, progressive=True),
    lossy_webp=saved(flat, format="WEBP", quality=90),
)))
