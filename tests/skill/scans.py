"""Stand-in CT and MR: slices of the phantom, in no order of position."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import FileDataset

from tests.skill import dicom
from tests.skill.dicom import Row


def ct(row: Row) -> list[FileDataset]:
    """The regular volume, from the lowest slice up."""
    volume = dicom.hounsfield(dicom.CT_SLICES, dicom.CT_PIXEL_MM, dicom.CT_SPACING_MM)
    slices = _slices(row, volume, dicom.CT_PIXEL_MM, dicom.CT_SPACING_MM)
    return [_as_ct(one, dicom.CT_THICKNESS_MM) for one in slices]


def ct_with_a_gap(row: Row) -> list[FileDataset]:
    """One slice more than there are files, without it."""
    volume = dicom.hounsfield(dicom.GAP_SLICES + 1, dicom.GAP_PIXEL_MM, dicom.GAP_SPACING_MM)
    there = [i for i in range(dicom.GAP_SLICES + 1) if i != dicom.MISSING_SLICE]
    slices = _slices(row, volume, dicom.GAP_PIXEL_MM, dicom.GAP_SPACING_MM, there)
    return [_as_ct(one, dicom.GAP_SPACING_MM) for one in slices]


def mr(row: Row) -> list[FileDataset]:
    volume = dicom.hounsfield(dicom.MR_SLICES, dicom.MR_PIXEL_MM, dicom.MR_SPACING_MM)
    signal = ((volume - dicom.AIR_HU) // 3).astype(np.int16)
    made = _slices(row, signal, dicom.MR_PIXEL_MM, dicom.MR_SPACING_MM)
    for one in made:
        one.ScanningSequence, one.SequenceVariant, one.ScanOptions = "SE", "SK", ""
        one.MRAcquisitionType, one.SequenceName = "2D", "*tse2d1_15"
        one.SliceThickness, one.SpacingBetweenSlices = "3.6", "3.6"
        one.RepetitionTime, one.EchoTime, one.EchoTrainLength = "4480", "103", "15"
        one.MagneticFieldStrength, one.FlipAngle = "3", "160"
        one.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        one.PixelRepresentation = 0
    return made


def _as_ct(one: FileDataset, thickness_mm: float) -> FileDataset:
    one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    one.SliceThickness, one.KVP, one.ConvolutionKernel = thickness_mm, "120", "I31f"
    one.RescaleSlope, one.RescaleIntercept = dicom.SLOPE, dicom.INTERCEPT
    one.RescaleType = "HU"
    one.WindowCenter, one.WindowWidth = "40", "400"
    one.PixelData = (one.pixel_array - dicom.INTERCEPT).astype("<i2").tobytes()
    return one


def _slices(
    row: Row,
    volume: np.ndarray,
    pixel_mm: float,
    spacing_mm: float,
    there: list[int] | None = None,
) -> list[FileDataset]:
    """A file a slice of the volume, from the lowest up; numbered in another order."""
    there = list(range(len(volume))) if there is None else there
    assert len(there) == row.instanceCount
    made = []
    for place, level in enumerate(there):
        one = dicom.begun(row, place)
        one.InstanceNumber = place * 7 % len(there) + 1 if len(there) % 7 else place + 1
        one.FrameOfReferenceUID, one.PositionReferenceIndicator = dicom.frame_of_reference(row), ""
        one.PatientPosition, one.AcquisitionNumber = "FFS", "1"
        x, y, z = dicom.LOWEST_MM
        one.ImagePositionPatient = [x, y, z + spacing_mm * level]
        one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        one.SliceLocation = z + spacing_mm * level
        one.PixelSpacing = [pixel_mm, pixel_mm]
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.Rows, one.Columns = volume.shape[1:]
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.PixelData = volume[level].astype("<i2").tobytes()
        made.append(one)
    return made
