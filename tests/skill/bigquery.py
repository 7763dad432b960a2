"""IDC's BigQuery tables, as far as documents ask them: columns and types, in DuckDB.

A statement of a ```sql bigquery block runs here; a table or column that is not below fails it. What
is missing is added below, with its source:

- `dicom_metadata`: a column for each DICOM attribute, by keyword; its type follows from the value
  representation and multiplicity as https://cloud.google.com/healthcare-api/docs/how-tos/dicom-bigquery-schema
  says. `ATTRIBUTES` and `SEQUENCES` are those that documents and IDC's own statements name.
- `dicom_all`, `segmentations`, `measurement_groups`, `quantitative_measurements`,
  `qualitative_measurements`, `dicom_metadata_curated`, `auxiliary_metadata`, `mutable_metadata`:
  github.com/ImagingDataCommons/etl_flow, bq/generate_tables_and_views.
- `original_collections_metadata`, `analysis_results_metadata`, `version_metadata`: the statements
  in the package idc-index-data (`collections_index.sql` and others) and the schemas beside them.

`test_bigquery.py` runs those statements here, which shows that the columns are IDC's.
"""

from __future__ import annotations

from functools import cache

from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

PROJECT = "bigquery-public-data"

ATTRIBUTES = """
    PatientID PatientSex PatientAge PatientName PatientBirthDate PatientSize PatientWeight
    PatientSpeciesDescription PatientIdentityRemoved DeidentificationMethod
    ClinicalTrialProtocolID ClinicalTrialTimePointID ClinicalTrialTimePointDescription
    StudyInstanceUID StudyDate StudyTime StudyID StudyDescription AccessionNumber
    SeriesInstanceUID SeriesDate SeriesTime SeriesNumber SeriesDescription Modality Laterality
    BodyPartExamined ProtocolName PatientPosition OperatorsName FrameOfReferenceUID
    Manufacturer ManufacturerModelName SoftwareVersions DeviceSerialNumber InstitutionName
    StationName
    SOPInstanceUID SOPClassUID InstanceNumber ContentDate ContentTime AcquisitionDate
    AcquisitionTime AcquisitionDateTime AcquisitionNumber ImageType SpecificCharacterSet
    InstanceCreationDate TransferSyntaxUID MediaStorageSOPClassUID
    Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation PlanarConfiguration
    BitsAllocated BitsStored HighBit PixelRepresentation PixelSpacing ImagerPixelSpacing
    SliceThickness SpacingBetweenSlices SliceLocation ImagePositionPatient ImageOrientationPatient
    RescaleSlope RescaleIntercept RescaleType WindowCenter WindowWidth SmallestImagePixelValue
    LossyImageCompression LossyImageCompressionRatio LossyImageCompressionMethod BurnedInAnnotation
    ImageComments DerivationDescription
    KVP XRayTubeCurrent Exposure ExposureTime ConvolutionKernel FilterType ScanOptions
    GantryDetectorTilt DataCollectionDiameter ReconstructionDiameter SpiralPitchFactor
    SingleCollimationWidth TotalCollimationWidth TableSpeed CTDIvol
    ContrastBolusAgent ContrastBolusVolume ContrastBolusRoute ContrastBolusStartTime
    ContrastBolusIngredient ContrastBolusIngredientConcentration ContrastBolusTotalDose
    ContrastFlowRate ContrastBolusStopTime ContrastFlowDuration
    MagneticFieldStrength ScanningSequence SequenceVariant SequenceName PulseSequenceName
    MRAcquisitionType EchoTime RepetitionTime InversionTime EchoTrainLength EchoNumbers FlipAngle
    PixelBandwidth ImagingFrequency ImagedNucleus ReceiveCoilName TransmitCoilName
    NumberOfTemporalPositions TemporalPositionIdentifier TemporalResolution NumberOfAverages
    DiffusionBValue DiffusionGradientOrientation TriggerTime InPlanePhaseEncodingDirection SAR
    SeriesType Units DecayCorrection DecayFactor CorrectedImage RandomsCorrectionMethod
    ReconstructionMethod ActualFrameDuration ScatterCorrectionMethod AttenuationCorrectionMethod
    NumberOfSlices NumberOfTimeSlices FrameReferenceTime SUVType CountsSource
    ViewPosition ImageLaterality PositionerPrimaryAngle CompressionForce BreastImplantPresent
    TotalPixelMatrixRows TotalPixelMatrixColumns TotalPixelMatrixFocalPlanes ImagedVolumeWidth
    ImagedVolumeHeight ImagedVolumeDepth ContainerIdentifier DimensionOrganizationType
    ImageOrientationSlide NumberOfOpticalPaths VolumetricProperties FocusMethod
    ExtendedDepthOfField SpecimenLabelInImage
    SegmentationType SegmentationFractionalType ContentLabel ContentDescription ContentCreatorName
    StructureSetLabel StructureSetName StructureSetDate ApprovalStatus
    AnnotationCoordinateType CompletionFlag VerificationFlag ValueType
"""

CODE = "CodeValue CodingSchemeDesignator CodeMeaning"
_REFERENCE = "ReferencedSOPClassUID ReferencedSOPInstanceUID"
_ITEM = f"""ValueType RelationshipType TextValue UID DateTime Date NumericValue
    ConceptNameCodeSequence({CODE}) ConceptCodeSequence({CODE})
    MeasuredValueSequence(NumericValue MeasurementUnitsCodeSequence({CODE}))
    ReferencedSOPSequence({_REFERENCE} ReferencedFrameNumber ReferencedSegmentNumber)
    GraphicType GraphicData"""
_ANATOMY = f"AnatomicRegionSequence({CODE} AnatomicRegionModifierSequence({CODE}))"

SEQUENCES = f"""
    AdmittingDiagnosesCodeSequence({CODE})
    {_ANATOMY}
    AnnotationGroupSequence(AnnotationGroupNumber AnnotationGroupUID AnnotationGroupLabel
        AnnotationGroupGenerationType GraphicType NumberOfAnnotations
        AnnotationPropertyCategoryCodeSequence({CODE}) AnnotationPropertyTypeCodeSequence({CODE})
        AnnotationGroupAlgorithmIdentificationSequence(AlgorithmName AlgorithmVersion))
    ConceptNameCodeSequence({CODE})
    ContainerTypeCodeSequence({CODE})
    ContentTemplateSequence(MappingResource TemplateIdentifier)
    ContentSequence({_ITEM} ContentSequence({_ITEM} ContentSequence({_ITEM}
        ContentSequence({_ITEM}))))
    ContrastBolusAgentSequence({CODE})
    CTDIPhantomTypeCodeSequence({CODE})
    DeidentificationMethodCodeSequence({CODE})
    OpticalPathSequence(OpticalPathIdentifier OpticalPathDescription ObjectiveLensPower
        ObjectiveLensNumericalAperture IlluminationTypeCodeSequence({CODE})
        IlluminationColorCodeSequence({CODE}))
    PrimaryAnatomicStructureSequence({CODE} PrimaryAnatomicStructureModifierSequence({CODE}))
    ProcedureCodeSequence({CODE})
    RadiopharmaceuticalInformationSequence(Radiopharmaceutical RadiopharmaceuticalRoute
        RadiopharmaceuticalStartTime RadiopharmaceuticalStartDateTime RadionuclideTotalDose
        RadionuclideHalfLife RadionuclidePositronFraction RadionuclideCodeSequence({CODE})
        RadiopharmaceuticalCodeSequence({CODE}))
    ReferencedFrameOfReferenceSequence(FrameOfReferenceUID
        RTReferencedStudySequence({_REFERENCE}
            RTReferencedSeriesSequence(SeriesInstanceUID ContourImageSequence({_REFERENCE}))))
    ReferencedImageSequence({_REFERENCE})
    ReferencedSeriesSequence(SeriesInstanceUID ReferencedInstanceSequence({_REFERENCE}))
    RequestAttributesSequence(ScheduledProcedureStepDescription)
    ROIContourSequence(ReferencedROINumber ContourSequence(ContourGeometricType
        NumberOfContourPoints ContourData ContourImageSequence({_REFERENCE})))
    RTROIObservationsSequence(ObservationNumber ReferencedROINumber ROIObservationLabel
        RTROIInterpretedType ROIInterpreter RTROIIdentificationCodeSequence({CODE}))
    SegmentSequence(SegmentNumber SegmentLabel SegmentDescription SegmentAlgorithmType
        SegmentAlgorithmName TrackingID TrackingUID
        SegmentedPropertyCategoryCodeSequence({CODE})
        SegmentedPropertyTypeCodeSequence({CODE} SegmentedPropertyTypeModifierCodeSequence({CODE}))
        {_ANATOMY})
    SharedFunctionalGroupsSequence(PixelMeasuresSequence(PixelSpacing SliceThickness
        SpacingBetweenSlices) PlaneOrientationSequence(ImageOrientationPatient))
    SourceImageSequence({_REFERENCE})
    SpecimenDescriptionSequence(SpecimenIdentifier SpecimenUID SpecimenShortDescription
        SpecimenPreparationSequence(SpecimenPreparationStepContentItemSequence(ValueType TextValue
            ConceptNameCodeSequence({CODE}) ConceptCodeSequence({CODE})))
        PrimaryAnatomicStructureSequence({CODE} PrimaryAnatomicStructureModifierSequence({CODE})))
    StructureSetROISequence(ROINumber ROIName ROIDescription ROIGenerationAlgorithm
        ReferencedFrameOfReferenceUID)
    ViewCodeSequence({CODE})
"""
"""Sequences, each with the fields of its items in brackets."""

REPEATED = {"SegmentAlgorithmName"}
"""Arrays in IDC's tables, though the attribute has one value (`segmentations.sql`)."""

_STRUCT = "STRUCT(CodeValue VARCHAR, CodingSchemeDesignator VARCHAR, CodeMeaning VARCHAR)"

OF_IDC = {
    "collection_name": "VARCHAR", "collection_id": "VARCHAR", "collection_timestamp": "TIMESTAMP",
    "collection_hash": "VARCHAR", "collection_init_idc_version": "BIGINT",
    "collection_revised_idc_version": "BIGINT", "collection_tumorLocation": "VARCHAR",
    "collection_species": "VARCHAR", "collection_cancerType": "VARCHAR", "access": "VARCHAR",
    "idc_case_id": "VARCHAR", "patient_hash": "VARCHAR", "patient_init_idc_version": "BIGINT",
    "patient_revised_idc_version": "BIGINT", "crdc_study_uuid": "VARCHAR", "study_hash": "VARCHAR",
    "study_init_idc_version": "BIGINT", "study_revised_idc_version": "BIGINT",
    "crdc_series_uuid": "VARCHAR", "series_gcs_url": "VARCHAR", "series_aws_url": "VARCHAR",
    "series_hash": "VARCHAR", "series_init_idc_version": "BIGINT",
    "series_revised_idc_version": "BIGINT", "crdc_instance_uuid": "VARCHAR", "gcs_url": "VARCHAR",
    "gcs_bucket": "VARCHAR", "aws_url": "VARCHAR", "aws_bucket": "VARCHAR",
    "instance_size": "BIGINT", "instance_hash": "VARCHAR", "instance_init_idc_version": "BIGINT",
    "instance_revised_idc_version": "BIGINT", "Source_DOI": "VARCHAR", "Source_URL": "VARCHAR",
    "analysis_result_id": "VARCHAR", "license_url": "VARCHAR", "license_long_name": "VARCHAR",
    "license_short_name": "VARCHAR", "tcia_api_collection_id": "VARCHAR",
    "idc_webapp_collection_id": "VARCHAR", "tcia_tumorLocation": "VARCHAR",
    "tcia_species": "VARCHAR", "tcia_cancerType": "VARCHAR",
}  # fmt: skip
"""What `dicom_all` has beside the DICOM attributes."""

_GROUP = {
    "PatientID": "VARCHAR", "SOPInstanceUID": "VARCHAR", "SeriesInstanceUID": "VARCHAR",
    "SeriesDescription": "VARCHAR", "measurementGroup_number": "BIGINT",
    "segmentationInstanceUID": "VARCHAR", "segmentationSeriesUID": "VARCHAR",
    "segmentationSegmentNumber": "BIGINT", "sourceSegmentedSeriesUID": "VARCHAR",
    "trackingIdentifier": "VARCHAR", "trackingUniqueIdentifier": "VARCHAR",
    "finding": _STRUCT, "findingSite": _STRUCT,
}  # fmt: skip
_LICENSE = {
    "license_url": "VARCHAR",
    "license_long_name": "VARCHAR",
    "license_short_name": "VARCHAR",
}
_SOURCE = (
    "STRUCT(ID VARCHAR, source_doi VARCHAR, source_url VARCHAR, source_type VARCHAR, "
    "modalities VARCHAR, ImageTypes VARCHAR, citation VARCHAR, license STRUCT("
    + ", ".join(f"{name} {kind}" for name, kind in _LICENSE.items())
    + "), access VARCHAR, provenance VARCHAR)[]"
)

TABLES: dict[str, dict[str, str]] = {
    "segmentations": {
        "PatientID": "VARCHAR", "StudyInstanceUID": "VARCHAR", "SeriesInstanceUID": "VARCHAR",
        "SOPInstanceUID": "VARCHAR", "FrameOfReferenceUID": "VARCHAR",
        "SegmentationType": "VARCHAR", "AnatomicRegion": _STRUCT,
        "AnatomicRegionModifier": _STRUCT, "SegmentedPropertyCategory": _STRUCT,
        "SegmentedPropertyType": _STRUCT, "SegmentAlgorithmType": "VARCHAR",
        "SegmentAlgorithmName": "VARCHAR", "SegmentNumber": "BIGINT", "TrackingUID": "VARCHAR",
        "TrackingID": "VARCHAR", "segmented_SeriesInstanceUID": "VARCHAR", "viewer_url": "VARCHAR",
    },
    "measurement_groups": _GROUP,
    "quantitative_measurements": _GROUP | {
        "Quantity": _STRUCT, "Value": "DECIMAL(38, 9)", "Units": _STRUCT,
        "derivationModifier": _STRUCT, "lateralityModifier": _STRUCT,
    },
    # `segmentationSeriesUID` and `SeriesDescription` are not in its statement.
    "qualitative_measurements": {
        name: kind for name, kind in _GROUP.items()
        if name not in ("segmentationSeriesUID", "SeriesDescription")
    } | {"Quantity": _STRUCT, "Value": _STRUCT},
    "dicom_metadata_curated": {
        "SeriesInstanceUID": "VARCHAR", "SOPInstanceUID": "VARCHAR", "SliceThickness": "DOUBLE",
        "BodyPartExamined": "VARCHAR",
    },
    "dicom_metadata_curated_series_level": {
        "SeriesInstanceUID": "VARCHAR", "BodyPartExamined": "VARCHAR",
    },
    "auxiliary_metadata": {
        "collection_name": "VARCHAR", "submitter_case_id": "VARCHAR",
        "StudyInstanceUID": "VARCHAR", "study_uuid": "VARCHAR", "study_instances": "BIGINT",
        "SeriesInstanceUID": "VARCHAR", "series_uuid": "VARCHAR", "series_instances": "BIGINT",
        "SOPInstanceUID": "VARCHAR", "instance_uuid": "VARCHAR", "source_doi": "VARCHAR",
        "source_url": "VARCHAR",
    } | {
        name: kind for name, kind in OF_IDC.items()
        if not name.startswith(("crdc_", "tcia_", "Source_", "collection_name", "analysis_"))
        and not name.endswith(("tumorLocation", "species", "cancerType"))
    },
    "mutable_metadata": {
        "crdc_study_uuid": "VARCHAR", "crdc_series_uuid": "VARCHAR",
        "crdc_instance_uuid": "VARCHAR", "gcs_url": "VARCHAR", "aws_url": "VARCHAR",
        "access": "VARCHAR", "source_url": "VARCHAR", "source_doi": "VARCHAR",
    } | _LICENSE,
    "original_collections_metadata": {
        "collection_name": "VARCHAR", "collection_id": "VARCHAR", "cancer_types": "VARCHAR",
        "tumor_locations": "VARCHAR", "subjects": "BIGINT", "species": "VARCHAR",
        "sources": _SOURCE, "supporting_data": "VARCHAR", "program_id": "VARCHAR",
        "status": "VARCHAR", "updated": "DATE", "description": "VARCHAR",
    },
    "analysis_results_metadata": {
        "analysis_result_id": "VARCHAR", "analysis_result_title": "VARCHAR",
        "source_doi": "VARCHAR", "source_url": "VARCHAR", "subjects": "BIGINT",
        "collections": "VARCHAR", "modalities": "VARCHAR", "updated": "DATE",
        "description": "VARCHAR", "citation": "VARCHAR", "provenance": "VARCHAR",
    } | _LICENSE,
    "version_metadata": {
        "idc_version": "BIGINT", "version_hash": "VARCHAR", "version_timestamp": "DATE",
    },
}  # fmt: skip

CLINICAL = {
    "table_metadata": {
        "collection_id": "VARCHAR", "table_name": "VARCHAR", "table_description": "VARCHAR",
        "idc_table_size_bytes": "BIGINT",
    },
    "column_metadata": {
        "collection_id": "VARCHAR", "case_col": "BOOLEAN", "table_name": "VARCHAR",
        "column": "VARCHAR", "variable_name": "VARCHAR", "column_label": "VARCHAR",
        "data_type": "VARCHAR", "original_column_headers": "VARCHAR[]",
        "values": "STRUCT(option_code VARCHAR, option_description VARCHAR)[]",
        "values_source": "VARCHAR", "files": "VARCHAR[]", "sheet_names": "VARCHAR[]",
        "batch": "BIGINT[]", "column_numbers": "BIGINT[]",
    },
}  # fmt: skip
"""The dictionaries of the clinical dataset; its tables are those of `tests/published`."""

OTHER_ELEMENTS = "STRUCT(Tag VARCHAR, Data VARCHAR[])[]"
"""Private attributes: `Tag_00431039` and its values as text."""

_TYPES = {
    "DA": "DATE", "TM": "TIME", "DT": "TIMESTAMP", "FD": "DOUBLE", "FL": "DOUBLE", "OD": "DOUBLE",
    "US": "BIGINT", "SS": "BIGINT", "UL": "BIGINT", "SL": "BIGINT", "UV": "BIGINT", "SV": "BIGINT",
}  # fmt: skip
"""Value representations that are not text there. DS and IS are text."""


Fields = dict[str, "str | Fields"]
"""Attributes with their types; a sequence has the fields of its items."""


@cache
def attributes() -> Fields:
    """`ATTRIBUTES` and `SEQUENCES`."""
    words = f"{ATTRIBUTES} {SEQUENCES}".replace("(", " ( ").replace(")", " ) ").split()
    found, place = _read(words, 0)
    assert place == len(words), "brackets do not match"
    return found


@cache
def all_tables() -> dict[str, dict[str, str]]:
    """Every table of a release's dataset: columns with their DuckDB types."""
    metadata = {name: _kind(found) for name, found in attributes().items()}
    metadata["OtherElements"] = OTHER_ELEMENTS
    return {"dicom_metadata": metadata, "dicom_all": OF_IDC | metadata} | TABLES


def _read(words: list[str], place: int) -> tuple[Fields, int]:
    """`A B(C D)`: A, and B with the fields C and D."""
    found: Fields = {}
    while place < len(words) and words[place] != ")":
        name = words[place]
        assert tag_for_keyword(name) is not None, f"{name} is no DICOM attribute"
        if words[place + 1 : place + 2] == ["("]:
            found[name], place = _read(words, place + 2)
        else:
            one = _TYPES.get(dictionary_VR(name).split(" ")[0], "VARCHAR")
            several = dictionary_VM(name) != "1" or name in REPEATED
            found[name] = f"{one}[]" if several else one
        place += 1
    return found, place


def _kind(found: str | Fields) -> str:
    if isinstance(found, str):
        return found
    fields = ", ".join(f'"{name}" {_kind(one)}' for name, one in found.items())
    return f"STRUCT({fields})[]"
