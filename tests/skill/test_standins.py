"""The stand-ins are what `README.md` here says, and what the constants of `dicom.py` say."""

from __future__ import annotations

import re
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK

from tests.docs_blocks import Block
from tests.skill import dicom
from tests.skill.kept import MIRRORED
from tests.skill.test_snippets import Desk


@pytest.fixture(scope="module")
def rows():
    return dicom.rows(*dicom.SERIES)


@pytest.fixture(scope="module")
def read(made, rows):
    """Reads the files of a series, sorted by position where they have one."""

    def files(uid):
        found = [pydicom.dcmread(path) for path in (made / "data" / rows[uid].folder).iterdir()]
        return sorted(found, key=lambda one: one.get("ImagePositionPatient", [0, 0, 0])[2])

    return files


def test_the_folders_are_those_of_the_readme(made):
    told = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    tree = re.search(r"^data/\n(.*?)^```", told, re.MULTILINE | re.DOTALL)[1]
    parent, named = "", {}
    for line in tree.splitlines()[1:]:
        if line.startswith("    "):
            folder, count = re.fullmatch(r"(.*)/<(\d+) files?>\.dcm", line.strip()).groups()
            named[f"{parent}{folder}"] = int(count)
        else:
            parent = line.strip()
    there = {
        str(path.relative_to(made / "data")): len(list(path.iterdir()))
        for path in (made / "data").glob("*/*/*/*")
    }
    assert named == there


def test_the_buckets_have_exactly_what_the_catalogue_tells(made):
    for row in dicom.rows(*dicom.SERIES, *MIRRORED).values():
        for cloud in ("aws", "gcs"):
            (folder,) = (made / cloud).glob(f"*/{row.crdc_series_uuid}")
            sizes = [path.stat().st_size for path in folder.iterdir()]
            assert (len(sizes), sum(sizes)) == (row.instanceCount, row.bytes)
            assert all(pydicom.dcmread(path).SOPClassUID for path in folder.iterdir())


def test_the_ct_is_a_regular_volume_in_no_order(read):
    files = read(dicom.CT)
    places = [float(one.ImagePositionPatient[2]) for one in files]
    assert np.allclose(np.diff(places), dicom.CT_SPACING_MM)
    assert len(files) == dicom.CT_SLICES
    numbers = [int(one.InstanceNumber) for one in files]
    assert sorted(numbers) == list(range(1, dicom.CT_SLICES + 1)) != numbers
    names = [Path(one.filename).name for one in files]
    assert names != sorted(names)
    volume = np.stack([one.pixel_array * one.RescaleSlope + one.RescaleIntercept for one in files])
    truth = dicom.hounsfield(dicom.CT_SLICES, dicom.CT_PIXEL_MM, dicom.CT_SPACING_MM)
    assert np.array_equal(volume, truth)


def test_another_reader_sees_the_same_volume(made, rows):
    reader = SimpleITK.ImageSeriesReader()
    folder = str(made / "data" / rows[dicom.CT].folder)
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
    image = reader.Execute()
    assert np.allclose(image.GetSpacing(), (dicom.CT_PIXEL_MM,) * 2 + (dicom.CT_SPACING_MM,))
    assert np.allclose(image.GetOrigin(), dicom.LOWEST_MM)


def test_one_slice_of_the_other_ct_is_missing(read):
    places = [float(one.ImagePositionPatient[2]) for one in read(dicom.CT_WITH_A_GAP)]
    gaps = np.diff(places)
    wide = [dicom.MISSING_SLICE - 1]
    assert np.flatnonzero(~np.isclose(gaps, dicom.GAP_SPACING_MM)).tolist() == wide
    assert np.isclose(gaps[wide], 2 * dicom.GAP_SPACING_MM).all()


def test_the_segments_have_their_volumes_on_the_ct(made, rows, read):
    (path,) = (made / "data" / rows[dicom.SEG].folder).iterdir()
    seg = highdicom.seg.segread(path)
    images = read(dicom.CT)
    uids = [one.SOPInstanceUID for one in images]
    masks = seg.get_pixels_by_source_instance(uids, ignore_spatial_locations=True)
    voxel_ml = dicom.CT_PIXEL_MM**2 * dicom.CT_SPACING_MM / 1000
    for number, part in enumerate(("sphere", "box")):
        assert masks[..., number].sum() * voxel_ml == pytest.approx(dicom.volume_ml(part))
    assert {uid for _, _, uid in seg.get_source_image_uids()} == set(uids)


def test_the_outline_of_the_structure_lies_around_the_box(read):
    (structures,) = read(dicom.RTSTRUCT)
    contours = structures.ROIContourSequence[0].ContourSequence
    box = dicom.phantom(dicom.CT_SLICES, dicom.CT_PIXEL_MM, dicom.CT_SPACING_MM)["box"]
    assert len(contours) == box.any(axis=(1, 2)).sum()
    points = np.array([list(map(float, one.ContourData)) for one in contours]).reshape(-1, 3)
    assert points[:, 0].min() >= 20 and points[:, 0].max() <= 40


def test_the_slide_is_a_pyramid(read):
    levels = {
        (one.TotalPixelMatrixColumns, one.ImageType[2]): one.NumberOfFrames
        for one in read(dicom.SM)
    }
    assert levels == {(512, "VOLUME"): 16, (128, "VOLUME"): 1, (64, "THUMBNAIL"): 1}


# -- where scripts run ---------------------------------------------------------------------


def test_no_script_leaves_this_machine(desk, servers, caches):
    runner = Desk(desk, servers, caches[False])
    code = "import urllib.request\nurllib.request.urlopen('https://example.org', timeout=5)\n"
    assert "refused" in runner.run(Block("python", code, 1))
    assert "exit status" in runner.run(
        Block("sh", "curl -sSf http://example.org | head -1\nfalse", 1)
    )


def test_addresses_of_idc_lead_to_stand_ins_and_are_shown_as_they_are(desk, servers, caches):
    runner = Desk(desk, servers, caches[False])
    row = dicom.rows(*dicom.SERIES)[dicom.SEG]
    code = (
        f"curl -sSf 'https://{row.aws_bucket}.s3.amazonaws.com/?prefix={row.crdc_series_uuid}/'"
        " | grep -c '<Key>'\necho https://s3.amazonaws.com/x\n"
    )
    shown = ["1", "https://s3.amazonaws.com/x"]
    assert runner.run(Block("sh", code, 1, shown)) == ""
    assert "shown:" in runner.run(Block("sh", code, 1, ["2", "…"]))
