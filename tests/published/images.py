"""Tables of images: CT, MR and PET acquisitions, contrast agents, geometry of volumes."""

from __future__ import annotations

from tests.published.lots import choose, lot, sometimes, weighted
from tests.published.table import Table

CT, MR, PT = (
    "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128",
)  # fmt: skip


def _near(values: list[float], name: str, spread: int, unit: float) -> str:
    """One of the values, moved by up to `spread` units: as measured, not as planned."""
    return f"round({choose(name, values)} + {lot(name + ' near', spread)} * {unit}, 6)"


def _common(sizes: list[int], spacings: list[float]) -> dict[str, str]:
    """Pixels of a slice: square in nearly all series."""
    spacing = _near(spacings, "spacing", 40, 0.002)
    return {
        "SeriesInstanceUID": "SeriesInstanceUID",
        "PixelSpacing_row_mm": spacing,
        "PixelSpacing_col_mm": sometimes("anisotropic", 5, f"{spacing} * 1.05", spacing),
        "Rows": choose("rows", sizes),
        "Columns": choose("rows", sizes),
    }


_CT_CURRENT = f"(40 + {lot('current', 400)})::DOUBLE"
_CT_TIME = choose("exposure time", [400.0, 500.0, 600.0, 750.0, 1000.0])

CT_INDEX = Table(
    f"(FROM series WHERE SOPClassUID = '{CT}')",
    _common([512, 512, 512, 512, 512, 512, 768, 1024, 256], [0.52, 0.62, 0.68, 0.74, 0.82, 0.96])
    | {
        "ImageType": f"CASE WHEN instanceCount < 4 THEN ['ORIGINAL', 'PRIMARY', 'LOCALIZER'] "
        f"ELSE {choose('image type', [['ORIGINAL', 'PRIMARY', 'AXIAL']] * 8 + [['DERIVED', 'SECONDARY', 'REFORMATTED']])} END",  # noqa: E501
        "SliceThickness": weighted(
            "thickness",
            {0.5: 15, 0.625: 40, 0.75: 20, 1.0: 110, 1.25: 130, 1.5: 25, 2.0: 170, 2.5: 160,
             3.0: 80, 3.2: 40, 3.75: 25, 4.0: 10, 5.0: 120, 6.5: 5, 7.0: 5, 8.0: 5, 10.0: 10,
             2.0000000001: 4, 1.2500000001: 4, 0.0: 2},
        ),
        "KVP": weighted("kvp", {120.0: 800, 140.0: 90, 100.0: 60, 130.0: 20, 80.0: 20}),
        "ScanOptions": choose("options", [["HELICAL MODE"], ["HELICAL MODE"], ["AXIAL MODE"],
                                          ["SCOUT MODE"], ["HELIX"], []]),
        "ConvolutionKernel": choose(
            "kernel", [["STANDARD"], ["LUNG"], ["B30f"], ["B50f"], ["B60f"], ["BONE"], ["FC51"],
                       ["C"], ["D"], ["I30f", "3"], ["SOFT"], []],
        ),
        "GantryDetectorTilt": weighted("tilt", {0.0: 930, -10.5: 10, 15.0: 10}),
        "XRayTubeCurrent_min": _CT_CURRENT,
        "XRayTubeCurrent_max": sometimes("modulated", 600, f"{_CT_CURRENT} * 1.8", _CT_CURRENT),
        "FilterType": choose("filter", ["BODY FILTER", "WEDGE_3", "FLAT", "BUTTERFLY", None]),
        "Exposure_min": f"round({_CT_CURRENT} * {_CT_TIME} / 1000, 2)",
        "Exposure_max": f"round({_CT_CURRENT} * {_CT_TIME} / 900, 2)",
        "ExposureTime_min": _CT_TIME,
        "ExposureTime_max": _CT_TIME,
        "DataCollectionDiameter": choose("diameter", [500.0, 500.0, 360.0, None]),
        "ReconstructionDiameter": f"(250 + {lot('field of view', 250)})::DOUBLE",
        "SpiralPitchFactor": choose("pitch", [1.375, 0.984375, 1.5, 0.8, 1.2, None, None]),
    },
)  # fmt: skip

_DIFFUSION = f"{lot('diffusion', 8)} = 0"

MR_INDEX = Table(
    f"(FROM series WHERE SOPClassUID = '{MR}')",
    _common([256, 320, 384, 512, 160, 192], [0.5, 0.62, 0.78, 0.94, 1.25, 1.64])
    | {
        "MagneticFieldStrength": weighted(
            "field", {1.5: 520, 3.0: 390, 2.89362001419: 20, 1.494: 15, 2.89: 8, 1.0: 8, 7.0: 3,
                      9.4: 5, 15000.0: 4, 30000.0: 2, 0.0: 5},
        ),
        "ScanningSequence": choose(
            "sequence", [["SE"], ["SE"], ["GR"], ["GR"], ["EP"], ["IR", "SE"], ["GR", "IR"],
                         ["EP", "SE"], ["RM"]],
        ),
        "SequenceVariant": choose("variant", [["SK"], ["SP"], ["SK", "SP"], ["SS"], ["NONE"], []]),
        "MRAcquisitionType": weighted("acquisition", {"2D": 560, "3D": 420}),
        "EchoTime": f"CASE WHEN {lot('echoes', 12)} = 0 THEN [9.0, 90.0] "
        f"ELSE [{_near([1.7, 2.4, 4.6, 9.0, 63.0, 84.0, 101.0], 'echo time', 30, 0.01)}] END",
        "RepetitionTime": _near([4.0, 7.5, 450.0, 600.0, 2200.0, 4500.0, 8000.0], "tr", 90, 0.5),
        "EchoTrainLength": choose("echo train", [1, 1, 1, 8, 16, 25, None]),
        "FlipAngle": choose("flip", [10.0, 12.0, 20.0, 90.0, 90.0, 150.0, 180.0]),
        "PixelBandwidth": choose("bandwidth", [130.0, 195.3125, 244.141, 488.281, 1502.0]),
        "ImagingFrequency": f"round({choose('frequency', [63.86, 127.74, 123.2])} "
        f"+ {lot('shim', 50)} * 0.0001, 6)",
        "ImagedNucleus": weighted("nucleus", {"1H": 940, "H1": 20, "23Na": 2}),
        "SliceThickness": weighted(
            "thickness", {1.0: 140, 1.2: 40, 1.5: 60, 2.0: 170, 2.5: 60, 3.0: 230, 3.5: 30,
                          4.0: 70, 5.0: 130, 6.0: 20, 8.0: 20, 0.9: 10},
        ),
        "InversionTime": choose("inversion", [None, None, None, 150.0, 900.0, 2200.0]),
        "ReceiveCoilName": choose("coil", ["HEAD", "8HRBRAIN", "BREAST", "Body", "HD 8Ch", None]),
        "SequenceName": choose("sequence name", ["*tfl3d1", "*tse2d1_17", "*ep_b0", None]),
        "DiffusionBValue": f"CASE WHEN {_DIFFUSION} THEN "
        f"{choose('b values', [[0.0, 800.0], [50.0, 400.0, 800.0], [0.0, 100.0, 600.0, 800.0], [1400.0]])} "  # noqa: E501
        "ELSE [] END",
        "NumberOfTemporalPositions": choose("times", [None, None, None, None, 1, 5, 40]),
    },
)  # fmt: skip

_PT_GA = f"{lot('gallium', 10)} = 0"

PT_INDEX = Table(
    f"(FROM series WHERE SOPClassUID = '{PT}')",
    _common([128, 168, 192, 256, 400], [2.0, 2.73, 4.07, 5.47])
    | {
        "SeriesType": choose("type", ["WHOLE BODY/IMAGE", "STATIC/IMAGE", "DYNAMIC/IMAGE"]),
        "Units": weighted("units", {"BQML": 860, "CNTS": 80, "GML": 30, "CPS": 20}),
        "DecayCorrection": choose("decay", ["START", "START", "ADMIN", "NONE"]),
        "CorrectedImage": choose(
            "corrected", [["ATTN", "DECY", "DTIM", "NORM", "RAN", "SCAT"], ["ATTN", "DECY"],
                          ["DECY", "NORM"], []],
        ),
        "RandomsCorrectionMethod": choose("randoms", ["DLYD", "SING", "NONE", None]),
        "ReconstructionMethod": choose(
            "method", ["OSEM3D 3i24s", "OSEM", "3D IR", "FBP", "PSF+TOF 2i21s", "VPFX", None]
        ),
        "ActualFrameDuration": choose(
            "frames", [[120000.0], [180000.0], [240000.0], [5000.0, 10000.0, 30000.0, 60000.0], []],
        ),
        "ScatterCorrectionMethod": choose("scatter", ["Model-based", "SSS", "NONE", None]),
        "AttenuationCorrectionMethod": choose(
            "attenuation", ["measured,AC_CT", "CT", "NONE", None]
        ),
        "RadionuclideCodeMeaning": f"CASE WHEN {_PT_GA} THEN "
        f"{choose('ga', ['Gallium Ga-68', '^68^Gallium'])} ELSE "
        f"{weighted('f', {'^18^Fluorine': 600, 'Fluorine F18': 200, 'F-18': 100, '': 20})} END",
        "RadionuclideTotalDose": f"(150 + {lot('dose', 500)}) * 1e6",
        "RadiopharmaceuticalStartTime": f"printf('%02d:%02d:00.00000', 7 + {lot('hour', 11)}, "
        f"{lot('minute', 60)})",
        "Radiopharmaceutical": f"CASE WHEN {_PT_GA} THEN 'PSMA' ELSE "
        f"{choose('tracer', ['Fluorodeoxyglucose', 'FDG -- fluorodeoxyglucose', 'Fluorodeoxyglucose F^18^', 'FDG', 'FLT', None])} END",  # noqa: E501
        "SliceThickness": weighted("thickness", {3.27: 400, 2.0: 100, 3.0: 150, 4.0: 60, 5.0: 250}),
        "NumberOfSlices": "instanceCount",
        "NumberOfTimeSlices": choose("time slices", [None, None, None, 1, 32]),
    },
)  # fmt: skip

AGENTS = [
    ["OMNIPAQUE"], ["Omnipaque 350"], ["OMNI 300"], ["ISOVUE"], ["Isovue 370"], ["VISIPAQUE"],
    ["Ultravist 370"], ["CE"], ["Magnevist"], ["MULTIHANCE"], ["GADAVIST"], ["Gadolinium"],
    ["APPLIED"], ["ORAL & IV"], ["100ML"], ["yes"],
]  # fmt: skip
NO_AGENTS = [["NONE"], ["no"], ["W/O"], ["None"], ["without"], ["N"]]
"""Values that say that no agent was given: the attribute is there, the agent is not."""

CONTRAST_INDEX = Table(
    f"""(FROM series WHERE Modality IN ('CT', 'MR', 'PT', 'XA', 'RF')
        AND {lot("contrast", 100)} < CASE Modality WHEN 'CT' THEN 22 WHEN 'PT' THEN 8 ELSE 36 END)
    """,
    {
        "SeriesInstanceUID": "SeriesInstanceUID",
        "ContrastBolusAgent": sometimes(
            "agent given", 880, choose("agent", AGENTS), choose("no agent", NO_AGENTS)
        ),
        "ContrastBolusIngredient": choose(
            "ingredient", [[], [], [], [], ["IODINE"], ["GADOLINIUM"], ["BARIUM", "IODINE"]]
        ),
        "ContrastBolusRoute": choose(
            "route", [["IV"], ["IV"], [], [], [], ["Intravenous route"], ["ORAL"], ["IV", "ORAL"]]
        ),
    },
)

_CHECKS = {
    "single_orientation": 985, "orthogonal_orientation": 999, "unique_slice_positions": 900,
    "consistent_in_plane_row": 960, "consistent_in_plane_col": 960,
    "consistent_pixel_spacing": 990, "consistent_image_dimensions": 992,
    "uniform_slice_spacing": 940,
}  # fmt: skip
_ALL = " AND ".join(_CHECKS)


def _where_regular(text: str) -> str:
    return f"CASE WHEN {_ALL} THEN {text} END"


_ORIENTATIONS = [[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]] * 6 + [
    [0.0, 1.0, 0.0, 0.0, 0.0, -1.0],
    [1.0, 0.0, 0.0, 0.0, 0.0, -1.0],
    [0.9962, 0.0, -0.0872, 0.0, 1.0, 0.0],
]

VOLUME_GEOMETRY_INDEX = Table(
    f"""(
        SELECT *, {
        ", ".join(f"{lot(name, 1000)} < {share} AS {name}" for name, share in _CHECKS.items())
    }
        FROM series WHERE SOPClassUID IN {(CT, MR, PT)} AND instanceCount > 3
    )""",
    {"SeriesInstanceUID": "SeriesInstanceUID"}
    | {name: name for name in _CHECKS}
    | {
        "obliquity_degrees": sometimes("oblique", 250, f"round({lot('degrees', 4500)} / 100, 4)",
                                       "0.0"),
        "regularly_spaced_3d_volume": _ALL,
        "origin_patient": _where_regular(
            f"[-(100 + {lot('x', 300)})::DOUBLE, -(100 + {lot('y', 300)})::DOUBLE, "
            f"({lot('z', 20000)} - 15000) / 10.0]"
        ),
        "ImageOrientationPatient": _where_regular(choose("orientation", _ORIENTATIONS)),
        "slice_spacing_mm": _where_regular(
            choose("spacing of slices", [0.5, 0.625, 0.8, 1.0, 1.25, 1.8, 2.0, 2.5, 3.0, 3.27,
                                         3.6, 5.0, 6.0])
        ),
    },
)  # fmt: skip
