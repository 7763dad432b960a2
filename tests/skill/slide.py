"""A stand-in slide: a small tiled pyramid (VL Whole Slide Microscopy, PS3.3, A.32.8)."""

from __future__ import annotations

import numpy as np
from PIL import ImageCms
from pydicom.dataset import Dataset, FileDataset

from tests.skill import dicom
from tests.skill.dicom import Row, code

TISSUE, GLASS = (190, 90, 150), (240, 240, 240)


def sm(row: Row) -> list[FileDataset]:
    """Two VOLUME levels from the finest on, and a THUMBNAIL."""
    width = dicom.SLIDE_PIXELS[0]
    spacings = dict(zip(dicom.SLIDE_PIXELS, dicom.SLIDE_PIXEL_MM, strict=True))
    thumbnail_mm = dicom.SLIDE_PIXEL_MM[0] * width / dicom.THUMBNAIL_PIXELS
    levels = [
        *((pixels, spacing, "VOLUME") for pixels, spacing in spacings.items()),
        (dicom.THUMBNAIL_PIXELS, thumbnail_mm, "THUMBNAIL"),
    ]
    assert len(levels) == row.instanceCount
    return [
        _level(row, number, pixels, spacing, flavour)
        for number, (pixels, spacing, flavour) in enumerate(levels)
    ]


def picture(pixels: int) -> np.ndarray:
    """The slide as (rows, columns, RGB): a disc of tissue on glass, 60% as wide."""
    at = (np.arange(pixels) + 0.5) / pixels - 0.5
    tissue = at[:, None] ** 2 + at[None, :] ** 2 <= 0.3**2
    return np.where(tissue[..., None], TISSUE, GLASS).astype(np.uint8)


def _level(row: Row, number: int, pixels: int, spacing_mm: float, flavour: str) -> FileDataset:
    made = dicom.begun(row, number)
    first = number == 0
    made.ImageType = (
        ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
        if first
        else ["DERIVED", "PRIMARY", flavour, "RESAMPLED"]
    )
    made.FrameOfReferenceUID = dicom.frame_of_reference(row)
    made.PositionReferenceIndicator = "SLIDE_CORNER"
    made.AcquisitionDateTime = f"{made.StudyDate}120000"
    made.AcquisitionContextSequence, made.VolumetricProperties = [], "VOLUME"
    made.LossyImageCompression, made.BurnedInAnnotation = "00", "NO"
    made.SpecimenLabelInImage, made.FocusMethod, made.ExtendedDepthOfField = "NO", "AUTO", "NO"
    tile = min(dicom.TILE, pixels)
    tiles = picture(pixels).reshape(pixels // tile, tile, pixels // tile, tile, 3)
    frames = tiles.transpose(0, 2, 1, 3, 4).reshape(-1, tile, tile, 3)
    made.NumberOfFrames, made.Rows, made.Columns = len(frames), tile, tile
    made.TotalPixelMatrixRows = made.TotalPixelMatrixColumns = pixels
    made.TotalPixelMatrixFocalPlanes, made.NumberOfOpticalPaths = 1, 1
    made.ImagedVolumeWidth = made.ImagedVolumeHeight = pixels * spacing_mm
    made.ImagedVolumeDepth = 0.001
    made.SamplesPerPixel, made.PhotometricInterpretation = 3, "RGB"
    made.PlanarConfiguration = 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.DimensionOrganizationType = "TILED_FULL"
    organization = Dataset()
    organization.DimensionOrganizationUID = f"{made.FrameOfReferenceUID}.1"
    made.DimensionOrganizationSequence = [organization]
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 20.0
    made.TotalPixelMatrixOriginSequence = [origin]
    made.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    made.SharedFunctionalGroupsSequence = [_shared(spacing_mm, made.ImageType)]
    made.OpticalPathSequence = [_optics()]
    made.ContainerIdentifier, made.IssuerOfTheContainerIdentifierSequence = row.PatientID, []
    made.ContainerTypeCodeSequence = [code("433466003", "SCT", "Microscope slide")]
    made.SpecimenDescriptionSequence = [_specimen(row)]
    made.PixelData = frames.tobytes()
    return made


def _shared(spacing_mm: float, image_type: list[str]) -> Dataset:
    measures = Dataset()
    measures.PixelSpacing, measures.SliceThickness = [spacing_mm, spacing_mm], 0.001
    frame_type = Dataset()
    frame_type.FrameType = image_type
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    shared.WholeSlideMicroscopyImageFrameTypeSequence = [frame_type]
    return shared


def _optics() -> Dataset:
    path = Dataset()
    path.OpticalPathIdentifier = "1"
    path.IlluminationTypeCodeSequence = [code("111744", "DCM", "Brightfield illumination")]
    path.IlluminationColorCodeSequence = [code("414298005", "SCT", "Full Spectrum")]
    path.ICCProfile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path.ObjectiveLensPower = "20"
    return path


def _specimen(row: Row) -> Dataset:
    specimen = Dataset()
    specimen.SpecimenIdentifier = row.PatientID
    specimen.SpecimenUID = f"{dicom.frame_of_reference(row)}.2"
    specimen.IssuerOfTheSpecimenIdentifierSequence = []
    specimen.SpecimenShortDescription = "H&E, FFPE"
    steps = []
    for stain in (
        code("12710003", "SCT", "hematoxylin stain"),
        code("36879007", "SCT", "water soluble eosin stain"),
    ):
        content = Dataset()
        content.ValueType = "CODE"
        content.ConceptNameCodeSequence = [code("424361007", "SCT", "Using substance")]
        content.ConceptCodeSequence = [stain]
        step = Dataset()
        step.SpecimenPreparationStepContentItemSequence = [content]
        steps.append(step)
    specimen.SpecimenPreparationSequence = steps
    specimen.PrimaryAnatomicStructureSequence = []
    return specimen
