"""Frames of an instance: their bytes, and how they look (PS3.18, 8.3.5)."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG"}


def frame(file: FileDataset, number: int) -> bytes:
    """The pixels of a frame as they are stored; frames count from 1."""
    return np.ascontiguousarray(_frames(file)[number - 1]).tobytes()


def rendered(file: FileDataset, number: int, kind: str, asked: dict[str, str]) -> bytes:
    """A frame as a picture, by `window=centre,width,function` and `viewport=width,height`.

    Raises
    ------
    ValueError
        A parameter is unknown or has no such form.
    """
    if unknown := asked.keys() - {"window", "viewport", "quality"}:
        raise ValueError(f"no parameter {', '.join(sorted(unknown))}")
    pixels = _frames(file)[number - 1].astype(float)
    if file.SamplesPerPixel == 1:
        pixels *= float(file.get("RescaleSlope", 1))
        pixels += float(file.get("RescaleIntercept", 0))
        centre, width = _window(file, pixels, asked.get("window", ""))
        pixels = np.clip((pixels - centre) / width + 0.5, 0, 1) * 255
    image = Image.fromarray(pixels.round().astype(np.uint8))
    if viewport := asked.get("viewport"):
        width, height = (int(one) for one in viewport.split(",")[:2])
        image.thumbnail((width, height))
    written = io.BytesIO()
    image.save(written, FORMATS[kind])
    return written.getvalue()


def _window(file: FileDataset, pixels: np.ndarray, asked: str) -> tuple[float, float]:
    if asked:
        centre, width, *_ = asked.split(",")
        return float(centre), float(width)
    if "WindowCenter" in file:
        return float(file.WindowCenter), float(file.WindowWidth)
    low, high = float(pixels.min()), float(pixels.max())
    return (low + high) / 2, max(high - low, 1)


def _frames(file: FileDataset) -> np.ndarray:
    """Pixels as (frames, rows, columns) or (frames, rows, columns, samples)."""
    frames = int(file.get("NumberOfFrames", 1))
    samples = [file.SamplesPerPixel] if file.SamplesPerPixel > 1 else []
    return file.pixel_array.reshape(frames, file.Rows, file.Columns, *samples)
