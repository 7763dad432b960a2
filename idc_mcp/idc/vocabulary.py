"""Words of the field: what people say, and what the catalogue calls it. Facts only.

Everything is written folded (lower case, spaces for other characters); the readers of these
tables are `search.query` (what a query means) and `schema` (what a column used to be called).
"""

from __future__ import annotations

from idc_mcp.idc.nearest import folded

MODALITIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ANN": ("bulk annotations", ("ann", "bulk annotation", "annotation")),
    "CR": ("computed radiography", ("cr", "computed radiography", "xray", "x ray", "radiograph",
                                    "radiography", "plain film", "cxr")),
    "CT": ("computed tomography", ("ct", "computed tomography", "cat scan", "cbct", "ldct")),
    "DX": ("digital radiography", ("dx", "digital radiography", "xray", "x ray", "radiograph",
                                   "radiography", "plain film", "cxr")),
    "FUSION": ("fusion", ("image fusion",)),
    "KO": ("key objects", ("ko", "key object", "key image")),
    "M3D": ("3D models", ("m3d", "stl", "mesh", "3d model", "3d print")),
    "MG": ("mammography", ("mg", "mammography", "mammogram", "mammo", "tomosynthesis", "dbt",
                           "ffdm")),
    "MR": ("magnetic resonance", ("mr", "mri", "magnetic resonance", "nmr", "mpmri")),
    "NM": ("nuclear medicine", ("nm", "nuclear medicine", "spect", "scintigraphy")),
    "OT": ("other", ("parametric map",)),
    "PR": ("presentation states", ("presentation state",)),
    "PT": ("positron emission tomography", ("pt", "pet", "positron emission",
                                            "positron emission tomography", "fdg pet")),
    "REG": ("registrations", ("reg", "registration", "spatial registration")),
    "RF": ("fluoroscopy", ("rf", "fluoroscopy", "radiofluoroscopy")),
    "RTDOSE": ("radiotherapy dose", ("rtdose", "rt dose", "dose map", "radiotherapy",
                                     "radiation therapy")),
    "RTPLAN": ("radiotherapy plans", ("rtplan", "rt plan", "treatment plan", "radiotherapy",
                                      "radiation therapy")),
    "RTSTRUCT": ("radiotherapy structures", ("rtstruct", "rt structure", "rt struct",
                                             "structure set", "rt structure set", "contour",
                                             "radiotherapy", "radiation therapy", "annotation")),
    "RWV": ("real world value maps", ("rwv", "real world value")),
    "SEG": ("segmentations", ("seg", "segmentation", "segmented", "segment", "segmentation mask",
                              "mask", "annotation", "label map", "labelmap")),
    "SM": ("slide microscopy", ("sm", "slide", "whole slide", "whole slide image", "wsi",
                                "pathology", "histology", "histopathology", "h e", "he stain",
                                "hematoxylin", "haematoxylin", "microscopy", "digital pathology",
                                "slide microscopy", "biopsy slide", "pathology slide")),
    "SR": ("structured reports", ("sr", "structured report", "measurement", "annotation",
                                  "radiomics feature")),
    "US": ("ultrasound", ("us", "ultrasound", "sonography", "ultrasonography", "sonogram",
                          "ceus")),
    "XA": ("angiography", ("xa", "angiography", "angiogram")),
    "XC": ("photographs", ("xc", "photograph", "photo")),
}  # fmt: skip
"""DICOM modality (PS3.3 C.7.3.1.1.1): its name, and the words that mean it."""

SAME: tuple[tuple[str, ...], ...] = (
    ("kidney", "renal"),
    ("liver", "hepatic"),
    ("lung", "pulmonary"),
    ("chest", "thorax", "thoracic"),
    ("stomach", "gastric"),
    ("uterus", "uterine", "womb"),
    ("skin", "cutaneous"),
    ("esophagus", "esophageal", "oesophagus", "oesophageal"),
    ("pancreas", "pancreatic"),
    ("ovary", "ovarian"),
    ("prostate", "prostatic"),
    ("cervix", "cervical"),
    ("testicle", "testicular", "testis", "testes"),
    ("rectum", "rectal"),
    ("bladder", "vesical"),
    ("breast", "mammary"),
    ("adrenal", "adrenocortical"),
    ("brain", "cerebral", "intracranial"),
    ("bile", "biliary"),
    ("eye", "ocular", "intraocular"),
    ("mouse", "mice", "murine"),
    ("canine", "dog"),
    ("metastasis", "metastase", "metastatic", "met"),
    ("glioblastoma", "gbm"),
    ("hepatocellular", "hcc"),
    ("mesothelioma", "meso"),
    ("tumor", "tumour", "neoplasm"),
    ("leukemia", "leukaemia"),
    ("pediatric", "paediatric", "childhood", "child", "children"),
    ("covid", "coronavirus", "sars"),
    ("license", "licence", "licensing", "licensed"),
    ("totalsegmentator", "total segmentator"),
)
"""Words that mean the same."""

NEAR: dict[str, tuple[str, ...]] = {
    "lung": ("chest", "thorax", "nsclc", "mediastinum", "luad", "lusc"),
    "chest": ("lung", "mediastinum", "chestabdpelvis", "chestabdomen", "neckchest"),
    "brain": ("glioma", "glioblastoma", "astrocytoma", "head", "skull", "schwannoma"),
    "glioma": ("glioblastoma", "astrocytoma", "brain", "oligodendroglioma", "lgg"),
    "glioblastoma": ("glioma", "brain"),
    "colon": ("colorectal", "bowel", "rectum", "crc"),
    "colorectal": ("colon", "rectum", "crc"),
    "rectum": ("colorectal",),
    "crc": ("colorectal", "colon", "rectum"),
    "bowel": ("colon", "colorectal", "rectum"),
    "kidney": ("rcc", "ccrcc"),
    "rcc": ("kidney", "ccrcc"),
    "liver": ("hepatocellular",),
    "hepatocellular": ("liver",),
    "nsclc": ("lung",),
    "skin": ("melanoma",),
    "uterus": ("endometrial", "endometrium"),
    "endometrial": ("uterus",),
    "blood": ("leukemia", "lymphoma", "myeloma"),
    "lymph": ("lymphoma", "lymphadenopathy"),
    "head": ("brain", "skull", "headneck"),
    "neck": ("headneck", "larynx", "hnscc"),
    "hnscc": ("head", "neck"),
    "bone": ("marrow", "osteosarcoma", "spine"),
    "spine": ("lspine", "tspine", "cspine", "tlspine"),
    "tumor": ("cancer", "lesion"),
    "nodule": ("lesion",),
    "mouse": ("pdx", "pdmr"),
    "animal": ("mouse", "canine"),
    "cancer": ("carcinoma", "adenocarcinoma", "tumor", "sarcoma", "lymphoma", "melanoma",
               "leukemia", "malignant"),
    "commercial": ("license",),
    "healthy": ("normal", "noncancer"),
    "normal": ("healthy", "noncancer"),
}  # fmt: skip
"""Words that are close without meaning the same: they match, and rank lower."""

SPELLED_OUT: dict[str, str] = {
    "aml": "acute myeloid",
    "crc": "colorectal",
    "dlbcl": "large b-cell",
    "gbm": "glioblastoma",
    "hcc": "hepatocellular",
    "hnscc": "head and neck",
    "mm": "multiple myeloma",
    "nsclc": "non-small cell",
    "pdac": "pancreatic ductal",
    "rcc": "renal cell",
    "sclc": "small cell lung",
}
"""Abbreviations of diseases: what stands in the text of cancer_types."""

MAKERS: dict[str, tuple[str, ...]] = {
    word: patterns
    for words, patterns in (
        (("ge", "general electric", "ge healthcare", "ge medical systems"),
         ("GE", "GE *", "GE_*", "*GE Healthcare*", "GEMS")),
        (("siemens", "siemens healthineers"), ("SIEMENS*",)),
        (("philips", "phillips"), ("Philips*",)),
        (("toshiba", "canon"), ("TOSHIBA*", "Canon*")),
        (("hologic", "lorad"), ("HOLOGIC*", "LORAD*")),
        (("carestream", "kodak"), ("Carestream*", "KODAK*")),
        (("agfa",), ("Agfa*",)),
        (("fuji", "fujifilm"), ("FUJI*",)),
        (("hitachi",), ("Hitachi*",)),
        (("varian",), ("Varian*",)),
        (("elekta",), ("Elekta*",)),
        (("leica", "aperio"), ("Leica*",)),
        (("zeiss", "carl zeiss"), ("*ZEISS",)),
        (("hamamatsu",), ("Hamamatsu*",)),
        (("united imaging", "uih"), ("UIH*",)),
        (("samsung",), ("Samsung*",)),
        (("picker",), ("PICKER*",)),
        (("neusoft",), ("Neusoft*",)),
        (("konica", "minolta"), ("KONICA*",)),
        (("sonosite",), ("SonoSite*",)),
        (("mim", "mim software"), ("MIM *", "*/ MIM*")),
    )
    for word in words
}  # fmt: skip
"""Makers as people say them: how Manufacturer spells them, as patterns of a filter."""

COMMERCIAL = frozenset({"commercial", "commercially"})
"""Words that ask for data of commercial use."""

COLUMN_WORDS: dict[str, tuple[str, ...]] = {
    "scanner": ("index.Manufacturer", "index.ManufacturerModelName"),
    "vendor": ("index.Manufacturer",),
    "manufacturer": ("index.Manufacturer",),
    "model name": ("index.ManufacturerModelName",),
    "age": ("index.PatientAge",),
    "patient age": ("index.PatientAge",),
    "sex": ("index.PatientSex",),
    "gender": ("index.PatientSex",),
    "female": ("index.PatientSex",),
    "male": ("index.PatientSex",),
    "license": ("index.license_short_name",),
    "licence": ("index.license_short_name",),
    "commercial": ("index.license_short_name",),
    "commercially": ("index.license_short_name",),
    "size": ("index.series_size_MB",),
    "gigabyte": ("index.series_size_MB",),
    "terabyte": ("index.series_size_MB",),
    "body part": ("index.BodyPartExamined",),
    "anatomy": ("index.BodyPartExamined", "collections_index.tumor_locations"),
    "organ": ("index.BodyPartExamined", "collections_index.tumor_locations"),
    "site": ("collections_index.tumor_locations",),
    "diagnosis": ("collections_index.cancer_types",),
    "disease": ("collections_index.cancer_types",),
    "animal": ("collections_index.species",),
    "doi": ("index.source_DOI",),
    "citation": ("collections_index.sources", "analysis_results_index.citation"),
    "version": ("index.series_init_idc_version", "index.series_revised_idc_version"),
    "slice count": ("index.instanceCount",),
    "number of slice": ("index.instanceCount",),
    "compression": ("index.transfer_syntax_name",),
    "transfer syntax": ("index.transfer_syntax_name",),
    "stain": ("sm_index.staining_usingSubstance_CodeMeaning",),
    "stained": ("sm_index.staining_usingSubstance_CodeMeaning",),
    "staining": ("sm_index.staining_usingSubstance_CodeMeaning",),
    "contrast": ("contrast_index.ContrastBolusAgent",),
    "magnification": ("sm_index.ObjectiveLensPower",),
    "slice thickness": ("ct_index.SliceThickness", "mr_index.SliceThickness"),
    "clinical data": ("collections_index.supporting_data",),
    "tracer": ("pt_index.Radiopharmaceutical",),
    "b value": ("mr_index.DiffusionBValue",),
    "kernel": ("ct_index.ConvolutionKernel",),
    "convolution kernel": ("ct_index.ConvolutionKernel",),
    "reconstruction kernel": ("ct_index.ConvolutionKernel",),
    "coil": ("mr_index.ReceiveCoilName",),
    "receive coil": ("mr_index.ReceiveCoilName",),
}
"""Words that name a column, as `table.column`."""

MENTIONED: dict[str, tuple[str, ...]] = {
    "low dose": ("ldct",),
    "cone beam": ("cbct",),
}
"""Phrases of which no single word says the same, and words that may mention them."""

NARROWER = frozenset({
    "cbct", "ceus", "cxr", "dbt", "ffdm", "ldct", "mpmri", "spect", "tomosynthesis",
})  # fmt: skip
"""Words that mean a modality and less than all of it."""

GENERIC = frozenset({"cancer", "tumor", "disease", "tissue", "human", "malignant"})
"""Words that tell collections apart, and nothing else: many values contain them."""

WEAK = GENERIC | {
    "patient", "subject", "image", "imaging", "scan", "data", "study", "series", "case", "file",
    "collection", "name", "type", "value", "number", "sample", "exam",
}  # fmt: skip
"""Words too general to be a match by themselves."""

STOPWORDS = frozenset({
    "a", "all", "an", "and", "any", "are", "as", "at", "be", "by", "can", "contain", "do", "does",
    "find", "for", "from", "get", "give", "had", "having", "he", "her", "his", "she", "was", "were",
    "who", "whom", "whose", "been", "being", "but", "them", "they", "those", "then", "than",
    "over", "under", "above", "below", "between", "least", "more", "most", "less", "up", "too",
    "when", "will", "would", "should", "could", "need", "look", "looking", "scanned", "acquired",
    "imaged", "taken", "about", "also", "just", "our", "we", "you", "your",
    "has", "have", "i", "in", "include", "is", "it", "its",
    "list", "me", "my", "of", "on", "only", "or", "please", "show", "some", "that", "the",
    "their", "there", "these", "this", "to", "use", "used", "using", "want", "what", "where",
    "which", "with", "dataset", "idc", "many", "how",
})  # fmt: skip
"""Words that say nothing about the data."""

NEGATIONS = frozenset({
    "no", "non", "not", "without", "lacking", "missing", "empty", "null",
})  # fmt: skip
"""Words that turn the next one around; before a column they ask for series without a value."""

EMPTY = frozenset({"missing", "empty", "null"})
"""Negations that may also follow the column."""

NOT_NEGATED = frozenset({"small", "hodgkin", "muscle", "special", "invasive", "seminomatous"})
"""Words whose negation is a name: non-small cell, no special type."""

SQL_WORDS = frozenset({
    "alter", "asc", "between", "count", "create", "delete", "desc", "distinct", "drop", "exist",
    "group", "having", "insert", "join", "like", "limit", "order", "schema", "select", "table",
    "union", "update", "value", "view",
})  # fmt: skip
"""Words of SQL: never a typing error."""


def suggestions(column: str, value: str) -> list[str]:
    """What the catalogue may call `value` in a column, best first; not checked against it.

    `suggestions("Modality", "MRI")` is `["MR"]`, `suggestions("tumor_locations", "renal")` is
    `["kidney"]`; for makers they are patterns: `suggestions("Manufacturer", "Siemens")` is
    `["SIEMENS*"]`.
    """
    word = folded(value)
    if column == "Modality":
        return [
            code
            for code, (name, words) in MODALITIES.items()
            if word in words or word == name or word.removesuffix("s") in words
        ]
    if column == "Manufacturer":
        return list(MAKERS.get(word, ()))
    same = [other for group in SAME if word in group for other in group if other != word]
    others = [*same, *NEAR.get(word, ())]
    return [other.upper() for other in others] if column == "BodyPartExamined" else others
