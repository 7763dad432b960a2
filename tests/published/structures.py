"""What is segmented: the structures of TotalSegmentator, and what other segmentations hold."""

from __future__ import annotations

from typing import NamedTuple

_VERTEBRAE = [
    f"{region}{number} vertebra"
    for region, count in (("C", 7), ("T", 12), ("L", 5))
    for number in range(1, count + 1)
]
_RIBS = [
    f"{ordinal} rib"
    for ordinal in (
        "First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth",
        "Tenth", "Eleventh", "Twelfth",
    )
]  # fmt: skip

TOTAL = (
    "Skull", "Brain", "Face", *_VERTEBRAE[:7], "Spinal cord", "Thyroid gland", "Larynx",
    "Internal carotid artery", "Internal jugular vein", "Common carotid artery",
    "Subclavian artery", "Brachiocephalic trunk", "Brachiocephalic vein", "Trachea", "Clavicle",
    "Scapula", "Humerus", *_RIBS[:6], *_VERTEBRAE[7:13], "Esophagus", "Sternum",
    "Costal cartilage", "Lung upper lobe", "Lung middle lobe", "Lung lower lobe", "Thymus",
    "Superior vena cava", "Aorta", "Heart", "Pulmonary artery", "Pulmonary vein", "Left atrium",
    "Left atrial appendage", "Left ventricle", "Right atrium", "Right ventricle", "Myocardium",
    "Bronchus", *_RIBS[6:], *_VERTEBRAE[13:19], "Liver", "Stomach", "Spleen", "Adrenal gland",
    "Pancreas", "Kidney", "Gallbladder", "Inferior vena cava", "Portal vein and splenic vein",
    "Duodenum", "Autochthonous back muscle", "Kidney cyst", *_VERTEBRAE[19:], "Small bowel",
    "Large intestine", "Iliopsoas muscle", "Common iliac artery", "Common iliac vein",
    "Sacrum", "S1 vertebra", "Ilium", "Urinary bladder", "Prostate", "Uterus", "Rectum",
    "Gluteus maximus muscle", "Gluteus medius muscle", "Gluteus minimus muscle",
    "Ischium", "Pubis", "Hip", "Femur", "Patella", "Tibia",
)  # fmt: skip
"""From head to foot, as a scan's field of view covers a part of them."""

ANATOMY, ALTERED, TISSUE = "Anatomical Structure", "Morphologically Altered Structure", "Tissue"


class Profile(NamedTuple):
    """What the segmentations of an analysis result or a collection have in common."""

    types: list[str]
    categories: list[str]
    algorithm_type: str
    algorithm_name: str | None = None
    regions: list[str] | None = None
    segmentation_type: str = "BINARY"


def _auto(types: list[str], name: str, *categories: str, kind: str = "AUTOMATIC") -> Profile:
    return Profile(types, list(categories or (ANATOMY,)), kind, name)


_LESION = "Neoplasm, Primary"
_NODULE = Profile(["Nodule"], [ALTERED], "MANUAL", None, ["Lung"])
_SEMI_NODULE = Profile(["Nodule"], [ALTERED], "SEMIAUTOMATIC", "Chest imaging platform", ["Lung"])
_PET = Profile([_LESION, "Neoplasm, Secondary", "Lymph node"], [ALTERED], "MANUAL")
_GLIOMA = ["Edema", "Necrosis", "Enhancing Lesion"]
_FTV = Profile(["Breast", _LESION], [ANATOMY, ALTERED], "SEMIAUTOMATIC", "FTV", ["Breast"])

PROFILES: dict[str, Profile] = {
    "dicom_lidc_idri_nodules": _NODULE,
    "lidc_annot_nlst501": _NODULE,
    "nlstseg": Profile(["Nodule", _LESION], [ALTERED], "MANUAL", None, ["Lung"]),
    "qin_lungct_seg": _SEMI_NODULE,
    "rider_lungct_seg": _SEMI_NODULE,
    "qiba_volct_1b": _SEMI_NODULE,
    "tcga_sbu_til_maps": Profile(
        ["Tumor infiltrating lymphocyte", "Lymphocyte"], [TISSUE], "AUTOMATIC", "SBU TIL maps",
        None, "FRACTIONAL",
    ),
    "pan_cancer_nuclei_seg_dicom": _auto(["Nucleus"], "Pan-Cancer-Nuclei-Seg"),
    "bamf_aimi_annotations": _auto(
        ["Lung", "Nodule", _LESION], "BAMF nnU-Net", ANATOMY, ALTERED, kind="AUTOMATIC,MANUAL"
    ),
    "bamf_aimi_annotations/upenn_gbm": _auto(_GLIOMA, "BAMF nnU-Net", ALTERED),
    "bamf_aimi_annotations/duke_breast_cancer_mri": _auto(
        ["Breast", "Fibroglandular tissue", _LESION], "BAMF nnU-Net", ANATOMY, TISSUE, ALTERED
    ),
    "bamf_aimi_annotations/prostatex": _auto(
        ["Prostate"], "BAMF nnU-Net", kind="AUTOMATIC,SEMIAUTOMATIC"
    ),
    "bamf_aimi_annotations/prostate_mri_us_biopsy": _auto(["Prostate"], "BAMF nnU-Net"),
    "bamf_aimi_annotations/tcga_kirc": _auto(
        ["Kidney", _LESION, "Cyst"], "BAMF nnU-Net", ANATOMY, ALTERED, kind="AUTOMATIC,MANUAL"
    ),
    "bamf_aimi_annotations/hcc_tace_seg": _auto(["Liver", _LESION], "BAMF nnU-Net"),
    "bamf_aimi_annotations/colorectal_liver_metastases": _auto(["Liver"], "BAMF nnU-Net"),
    "nnu_net_bpr_annotations": _auto(["Heart", "Aorta", "Trachea", "Esophagus"], "nnU-Net"),
    "prostatex_seg_zones": Profile(
        ["Peripheral zone of prostate", "Transition zone of prostate", "Urethra",
         "Anterior fibromuscular stroma of prostate"],
        [ANATOMY], "MANUAL", None, ["Prostate"],
    ),
    "prostatex_seg_hires": Profile(["Prostate"], [ANATOMY], "MANUAL"),
    "prostate_mri_us_biopsy_dicom_annotations": Profile(
        ["Prostate", "Lesion"], [ANATOMY, ALTERED], "SEMIAUTOMATIC", "Profuse", ["Prostate"]
    ),
    "qin_prostate_repeatability": Profile(
        ["Peripheral zone of prostate", "Prostate", "Lesion"], [ANATOMY, ALTERED], "MANUAL"
    ),
    "rms_mutation_prediction_expert_annotations": Profile(
        ["Alveolar rhabdomyosarcoma", "Embryonal rhabdomyosarcoma", "Necrosis", "Stroma"],
        [ALTERED, TISSUE], "MANUAL",
    ),
    "rcc_aid": Profile([_LESION, "Kidney"], [ALTERED, ANATOMY], "SEMIAUTOMATIC", "AIM"),
    "pancreas_ct_seg": Profile(["Pancreas"], [ANATOMY], "MANUAL"),
    "eay131_tumor_annotations": _PET,
    "fdg_pet_ct_lesions": _PET,
    "psma_pet_ct_lesions": _PET,
    "ispy1": _FTV,
    "ispy2": _FTV,
    "acrin_6698": _FTV,
    "breast_mri_nact_pilot": _FTV,
    "upenn_gbm": Profile(_GLIOMA, [ALTERED], "SEMIAUTOMATIC", "CaPTk"),
    "c4kc_kits": Profile(["Kidney", _LESION, "Cyst"], [ANATOMY, ALTERED], "MANUAL"),
    "hcc_tace_seg": Profile(
        ["Liver", _LESION, "Portal vein", "Aorta"], [ANATOMY, ALTERED], "SEMIAUTOMATIC", "Amira"
    ),
    "colorectal_liver_metastases": Profile(
        ["Liver", "Hepatic vein", "Portal vein", "Neoplasm, Secondary"], [ANATOMY, ALTERED],
        "SEMIAUTOMATIC", "Scout Liver",
    ),
    "nsclc_radiomics": Profile(
        [_LESION, "Lung", "Heart", "Esophagus", "Spinal cord"], [ANATOMY, ALTERED], "MANUAL"
    ),
    "mediastinal_lymph_node_seg": Profile(["Lymph node"], [ANATOMY], "MANUAL"),
    "ct_lymph_nodes": Profile(["Lymph node"], [ANATOMY], "MANUAL", None, ["Mediastinum"]),
    "spinal_multiple_myeloma_seg": Profile(["Vertebra", "Lesion"], [ANATOMY, ALTERED], "MANUAL"),
    "spine_mets_ct_seg": Profile(["Vertebra"], [ANATOMY], "SEMIAUTOMATIC", "3D Slicer"),
    "remind": Profile([_LESION, "Cerebral ventricle", "Brain"], [ANATOMY, ALTERED], "MANUAL"),
    "qin_breast": _PET,
}  # fmt: skip
"""By `analysis result/collection`, by analysis result, or by collection; the first that fits."""

OTHERS = [
    Profile([_LESION], [ALTERED], "MANUAL"),
    Profile(["Nodule", "Lung"], [ALTERED, ANATOMY], "SEMIAUTOMATIC", "GrowCut", ["Lung"]),
    Profile(["Liver", "Kidney", "Spleen"], [ANATOMY], "AUTOMATIC,MANUAL", "MONAI", []),
]
"""For series of other collections."""
