"""Words of the specialised and the clinical tables, and what stands there for them. Facts only.

Everything is written folded, as in `vocabulary`; the readers are `query`, `measures` and
`further`.
"""

from __future__ import annotations

MEANS: dict[str, tuple[str, ...]] = {
    # stains
    "h e": ("hematoxylin", "eosin"),
    "he stain": ("hematoxylin", "eosin"),
    "haematoxylin": ("hematoxylin",),
    "hematoxylin": ("hematoxylin",),
    "immunohistochemistry": ("antibody", "immunohistochemical", "ihc"),
    "immunohistochemical": ("antibody", "immunohistochemistry", "ihc"),
    "ihc": ("antibody", "immunohistochemistry", "immunohistochemical"),
    "ki 67": ("ki",),
    "ki67": ("ki",),
    "ffpe": ("paraffin", "formalin"),
    "frozen section": ("freezing", "frozen"),
    # contrast agents and tracers
    "gadolinium": ("gadavist", "gadovist", "gadobutrol", "magnevist", "gadopentetate",
                   "multihance", "gadobenate", "dotarem", "gadoterate", "prohance",
                   "gadoteridol", "omniscan", "gadodiamide", "eovist", "gadoxetate", "gd"),
    "iodine": ("iodinated", "omnipaque", "omni", "iohexol", "isovue", "iopamidol", "visipaque",
               "iodixanol", "ultravist", "iopromide", "optiray", "ioversol"),
    "iodinated": ("iodine", "omnipaque", "isovue", "visipaque", "ultravist", "optiray"),
    "fdg": ("fluorodeoxyglucose",),
    "fdg pet": ("fluorodeoxyglucose", "fdg"),
    "fluorodeoxyglucose": ("fdg",),
    "psma": ("psma",),
    "f18": ("fluorine",),
    "f 18": ("fluorine", "f18"),
    "ga 68": ("gallium",),
    "ga68": ("gallium",),
    # what is drawn and who drew it
    "gross tumor volume": ("gtv", "gtvp", "gtvn", "igtv"),
    "gross tumour volume": ("gtv", "gtvp", "gtvn", "igtv"),
    "clinical target volume": ("ctv",),
    "planning target volume": ("ptv",),
    "organ at risk": ("organ", "oar"),
    "manually": ("manual",),
    "hand drawn": ("manual",),
    "nuclei": ("nucleus",),
    "nucleus": ("nuclei",),
    "nuclear": ("nuclei", "nucleus"),
    "artery": ("arterial",),
    # clinical data
    "clinical data": ("clinical",),
    "smoking": ("smoker", "smoke", "smoked", "cigarette", "cigsmok", "tobacco", "pkyr"),
    "smoker": ("smoking", "smoke", "smoked", "cigarette", "cigsmok", "tobacco"),
    "tobacco": ("smoking", "smoker", "cigarette"),
    "pack year": ("pkyr", "smoking"),
    "survival": ("death", "deadstatus", "vital", "alive", "deceased"),
    "overall survival": ("survival", "death", "deadstatus", "vital"),
    "vital status": ("vital", "deadstatus", "survival"),
    "death": ("dead", "deceased", "died", "deadstatus", "vital", "mortality"),
    "dead": ("death", "deceased", "died"),
    "deceased": ("dead", "death", "died"),
    "recurrence": ("recurrent", "relapse", "progression"),
    "progression": ("recurrence", "progressive"),
    "treatment": ("therapy", "treated"),
    "therapy": ("treatment", "treated"),
    "chemo": ("chemotherapy",),
    "chemotherapy": ("chemo",),
    "histology": ("histologic", "histological", "histopathologic", "morphology"),
    "morphology": ("histology", "histologic"),
    "grade": ("grading", "differentiated", "histologic"),
    "stage": ("staging", "stag", "ajcc", "tnm"),
    "staging": ("stage", "stag", "ajcc", "tnm"),
    "tnm": ("stage", "staging", "stag", "ajcc"),
    "sex": ("gender",),
    "gender": ("sex",),
    "female": ("female", "woman", "women"),
    "male": ("male", "man", "men"),
    "woman": ("female",),
    "women": ("female",),
    "man": ("male",),
    "men": ("male",),
    "race": ("ethnicity",),
    "ethnicity": ("race",),
    "er": ("estrogen", "oestrogen"),
    "estrogen receptor": ("estrogen", "er"),
    "progesterone receptor": ("progesterone", "pgr"),
    "her2": ("erbb2", "neu"),
    "psa": ("psa",),
    "prostate specific antigen": ("psa",),
    "gleason": ("gleason",),
    "bmi": ("bmi",),
    "egfr": ("egfr",),
    "kras": ("kras",),
    "mutation": ("mutant", "mutated"),
    "mutant": ("mutation", "mutated"),
}  # fmt: skip
"""Phrases, and the words that mean them in values, labels and code books."""

CLINICAL = frozenset({
    "bmi", "chemo", "chemotherapy", "clinical", "death", "dead", "deceased", "diagnosis", "egfr",
    "er", "ethnicity", "female", "follow", "gender", "gleason", "grade", "her2", "histology",
    "kras", "male", "men", "mutant", "mutation", "outcome", "progression", "psa", "race",
    "recurrence", "sex", "smoker", "smoking", "stage", "staging", "survival", "therapy", "tnm",
    "tobacco", "treatment", "woman", "women", "year", "status", "antigen", "receptor",
})  # fmt: skip
"""Last words of terms that clinical tables answer."""

SEQUENCES: dict[str, str] = {
    "adc": "ADC", "flair": "FLAIR", "mprage": "MPRAGE", "stir": "STIR", "swi": "SWI", "t1": "T1",
    "t1w": "T1", "t2": "T2", "t2w": "T2",
}  # fmt: skip
"""What people call an MR series: how its SeriesDescription says it."""

VALUE_WEIGHTS: dict[str, float] = {
    "seg_index.SegmentedPropertyType_CodeMeanings": 1.1,
    "seg_index.AnatomicRegion_CodeMeanings": 0.85,
    "seg_index.AlgorithmType": 0.9,
    "rtstruct_index.ROINames": 0.9,
    "ann_group_index.AnnotationPropertyType_CodeMeaning": 1.1,
    "sm_index.staining_usingSubstance_CodeMeaning": 1.1,
    "sm_index.primaryAnatomicStructure_CodeMeaning": 0.9,
    "contrast_index.ContrastBolusAgent": 1.0,
    "contrast_index.ContrastBolusIngredient": 1.05,
    "pt_index.Radiopharmaceutical": 1.05,
    "pt_index.RadionuclideCodeMeaning": 0.9,
}
"""Columns that people ask by, and how much a match in one says; others OTHER_WEIGHT."""

OTHER_WEIGHT = 0.6

ANATOMY = frozenset({
    "seg_index.SegmentedPropertyType_CodeMeanings", "seg_index.AnatomicRegion_CodeMeanings",
    "ann_group_index.AnnotationPropertyType_CodeMeaning", "rtstruct_index.ROINames",
    "sm_index.primaryAnatomicStructure_CodeMeaning",
})  # fmt: skip
"""Columns of organs and lesions: words of a disease too, so only what is derived is filtered."""

UNSEARCHED = frozenset({"sm_instance_index", "clinical_index", "volume_geometry_index"})
"""Tables whose values say nothing that another does not say."""

SEARCHED = (
    "seg_index", "sm_index", "ann_group_index", "rtstruct_index", "contrast_index", "mr_index",
    "ct_index", "pt_index", "clinical_index",
)  # fmt: skip
"""Tables whose values are searched, those asked for most first."""
