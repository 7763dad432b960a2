"""Stand-in SEG and RTSTRUCT on the CT."""

from __future__ import annotations

import highdicom
import numpy as np
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset, FileDataset

from tests.skill import dicom
from tests.skill.dicom import Row, code

SEGMENTS = (
    ("sphere", "Liver", CodedConcept("10200004", "SCT", "Liver")),
    ("box", "Kidney", CodedConcept("64033007", "SCT", "Kidney")),
)
"""What of the phantom each segment is, its label and its type, from segment 1 up."""
ANATOMY = CodedConcept("123037004", "SCT", "Anatomical Structure")
ALGORITHM = "stand-in"


def seg(row: Row, images: list[FileDataset]) -> list[Dataset]:
    """A binary segmentation of the CT, by highdicom."""
    parts = dicom.phantom(dicom.CT_SLICES, dicom.CT_PIXEL_MM, dicom.CT_SPACING_MM)
    family = CodedConcept("123109", "DCM", "Artificial Intelligence")
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=ALGORITHM, family=family, version="1"
    )
    described = [
        SegmentDescription(
            number, label, ANATOMY, kind, SegmentAlgorithmTypeValues.AUTOMATIC, algorithm
        )
        for number, (_, label, kind) in enumerate(SEGMENTS, 1)
    ]
    made = highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=np.stack([parts[name] for name, _, _ in SEGMENTS], axis=-1).astype(np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        series_instance_uid=row.SeriesInstanceUID,
        series_number=int(row.SeriesNumber or 1),
        sop_instance_uid=dicom.instance_uid(row, 0),
        instance_number=1,
        manufacturer=row.Manufacturer,
        manufacturer_model_name=row.ManufacturerModelName,
        software_versions="1",
        device_serial_number="1",
        series_description=row.SeriesDescription,
    )
    return [made]


def rtstruct(row: Row, images: list[FileDataset]) -> list[Dataset]:
    """A structure set of one ROI: the outline of the box (PS3.3, A.19)."""
    made = dicom.begun(row, 0)
    made.StructureSetLabel, made.StructureSetName = "stand-in", "stand-in"
    made.StructureSetDate, made.StructureSetTime = made.StudyDate, made.StudyTime
    box = dicom.phantom(dicom.CT_SLICES, dicom.CT_PIXEL_MM, dicom.CT_SPACING_MM)["box"]
    inside = [(place, image) for place, image in enumerate(images) if box[place].any()]

    series = Dataset()
    series.SeriesInstanceUID = images[0].SeriesInstanceUID
    series.ContourImageSequence = [_reference(image) for image in images]
    study = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = row.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = images[0].FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    made.ReferencedFrameOfReferenceSequence = [frame]

    roi = Dataset()
    roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = 1, "GTV-1", "MANUAL"
    roi.ReferencedFrameOfReferenceUID = frame.FrameOfReferenceUID
    made.StructureSetROISequence = [roi]

    contours = Dataset()
    contours.ReferencedROINumber, contours.ROIDisplayColor = 1, [255, 0, 0]
    contours.ContourSequence = [_outline(box[place], image) for place, image in inside]
    made.ROIContourSequence = [contours]

    observation = Dataset()
    observation.ObservationNumber, observation.ReferencedROINumber = 1, 1
    observation.RTROIInterpretedType, observation.ROIInterpreter = "GTV", ""
    observation.RTROIIdentificationCodeSequence = [code("64033007", "SCT", "Kidney")]
    made.RTROIObservationsSequence = [observation]
    made.ApprovalStatus = "UNAPPROVED"
    return [made]


def _reference(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = image.SOPClassUID
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    return item


def _outline(mask: np.ndarray, image: Dataset) -> Dataset:
    """The contour through the centres of the corner pixels of a rectangle, in mm."""
    rows, columns = np.where(mask)
    x, y, z = (float(value) for value in image.ImagePositionPatient)
    left, right = (x + dicom.CT_PIXEL_MM * float(end) for end in (columns.min(), columns.max()))
    top, bottom = (y + dicom.CT_PIXEL_MM * float(end) for end in (rows.min(), rows.max()))
    contour = Dataset()
    contour.ContourImageSequence = [_reference(image)]
    contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 4
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    contour.ContourData = [value for corner in corners for value in (*corner, z)]
    return contour
