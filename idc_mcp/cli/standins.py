"""Stand-ins: small valid DICOM files of an exact size, for a demo that has no network.

The demo's mirror serves them under the names and with the sizes that the catalogue tells for
real series. A stand-in says whose place it takes, and has no image.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
IMPLEMENTATION = "2.25.129776068145286179430655954664846326209"
LONG = ("OB", "OW", "SQ", "UN", "UT")
"""The value representations of ours whose length has four bytes (PS3.5, 7.1.2)."""
PERIOD = 65_521
"""The padding repeats after a prime number of bytes: parts put in the wrong place are seen."""
MOST_PADDING = 0xFFFF_FFFE
TRAILING_PADDING_HEADER = 12


def stand_in(
    path: Path,
    size: int,
    *,
    sop_class_uid: str,
    sop_instance_uid: str,
    series_instance_uid: str,
    modality: str,
    patient_id: str,
    study_instance_uid: str = "",
) -> None:
    """Write a DICOM file of exactly `size` bytes; the same arguments give the same bytes.

    Parameters
    ----------
    path
        The file; its directory is made.
    size
        In bytes: even, and enough for the attributes, which take about 600.

    Raises
    ------
    ValueError
        No such file has this size, or an attribute is not ASCII.
    """
    attributes = _attributes(
        {
            (0x0008, 0x0016): ("UI", sop_class_uid),
            (0x0008, 0x0018): ("UI", sop_instance_uid),
            (0x0008, 0x0060): ("CS", modality),
            (0x0010, 0x0020): ("LO", patient_id),
            (0x0020, 0x000D): ("UI", study_instance_uid),
            (0x0020, 0x000E): ("UI", series_instance_uid),
        }
    )
    start = bytes(128) + b"DICM" + _meta(sop_class_uid, sop_instance_uid) + attributes
    padding = size - len(start) - TRAILING_PADDING_HEADER
    if size % 2:
        raise ValueError(f"A DICOM file has an even number of bytes, not {size}.")
    if not 0 <= padding <= MOST_PADDING:
        least = len(start) + TRAILING_PADDING_HEADER
        raise ValueError(f"{size} bytes are not possible: {least} to {least + MOST_PADDING} are.")
    block = hashlib.shake_128(sop_instance_uid.encode()).digest(PERIOD)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(start + _header(0xFFFC, 0xFFFC, "OB", padding))
        for _ in range(padding // PERIOD):
            file.write(block)
        file.write(block[: padding % PERIOD])


def _meta(sop_class_uid: str, sop_instance_uid: str) -> bytes:
    """The file's group 2 (PS3.10, 7.1)."""
    version = _header(0x0002, 0x0001, "OB", 2) + b"\0\1"
    rest = version + _attributes(
        {
            (0x0002, 0x0002): ("UI", sop_class_uid),
            (0x0002, 0x0003): ("UI", sop_instance_uid),
            (0x0002, 0x0010): ("UI", EXPLICIT_LITTLE_ENDIAN),
            (0x0002, 0x0012): ("UI", IMPLEMENTATION),
        }
    )
    return _header(0x0002, 0x0000, "UL", 4) + len(rest).to_bytes(4, "little") + rest


def _attributes(values: dict[tuple[int, int], tuple[str, str]]) -> bytes:
    """Attributes that have a text, padded to even lengths: UIDs with a null, others with " "."""
    encoded = b""
    for (group, element), (representation, text) in values.items():
        if not text:
            continue
        value = text.encode("ascii")
        value += (b"\0" if representation == "UI" else b" ") * (len(value) % 2)
        encoded += _header(group, element, representation, len(value)) + value
    return encoded


def _header(group: int, element: int, representation: str, length: int) -> bytes:
    """Tag, value representation and length, as explicit VR little endian has them."""
    tag = group.to_bytes(2, "little") + element.to_bytes(2, "little") + representation.encode()
    if representation in LONG:
        return tag + b"\0\0" + length.to_bytes(4, "little")
    return tag + length.to_bytes(2, "little")
