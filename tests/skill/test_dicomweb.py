"""The DICOMweb stand-in answers as the standard says: asked by dicomweb-client."""

from __future__ import annotations

import io
import urllib.error
import urllib.request

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image

from tests.skill import dicom
from tests.skill.dicomweb import PREFIX


@pytest.fixture(scope="module")
def url(servers):
    return servers.dicomweb.url + PREFIX


@pytest.fixture(scope="module")
def client(url):
    return DICOMwebClient(url)


@pytest.fixture(scope="module")
def row():
    return dicom.rows(*dicom.SERIES)[dicom.CT]


def test_studies_are_found_with_their_counts(client, row):
    (found,) = client.search_for_studies(search_filters={"PatientID": row.PatientID})
    study = pydicom.Dataset.from_json(found)
    assert study.StudyInstanceUID == row.StudyInstanceUID
    assert list(study.ModalitiesInStudy) == ["CT", "RTSTRUCT", "SEG"]
    assert study.NumberOfStudyRelatedInstances == 36


def test_searches_match_page_and_include(client, row):
    series = client.search_for_series(row.StudyInstanceUID, search_filters={"Modality": "CT"})
    assert [one["0020000E"]["Value"] for one in series] == [[dicom.CT]]
    pages = [client.search_for_instances(limit=20, offset=start) for start in (0, 20, 40, 60, 80)]
    assert [len(page) for page in pages] == [20, 20, 20, 15, 0]
    (one,) = client.search_for_instances(
        row.StudyInstanceUID, dicom.SEG, fields=["SegmentationType"]
    )
    assert one["00620001"]["Value"] == ["BINARY"]
    assert len(client.search_for_studies(search_filters={"StudyDate": "19590101-19591231"})) == 2


def test_instances_metadata_and_frames_are_those_of_the_files(client, row, made):
    files = client.retrieve_series(row.StudyInstanceUID, dicom.CT)
    assert len(files) == dicom.CT_SLICES
    uid = files[0].SOPInstanceUID
    told = client.retrieve_instance_metadata(row.StudyInstanceUID, dicom.CT, uid)
    assert told["00200032"]["Value"] == list(files[0].ImagePositionPatient)
    assert "BulkDataURI" in told["7FE00010"]
    (pixels,) = client.retrieve_bulkdata(told["7FE00010"]["BulkDataURI"])
    assert pixels == files[0].PixelData
    (frame,) = client.retrieve_instance_frames(row.StudyInstanceUID, dicom.CT, uid, [1])
    assert bytes(frame) == files[0].PixelData


def test_a_window_is_applied_to_a_rendered_frame(client, row):
    first = client.search_for_instances(row.StudyInstanceUID, dicom.CT)[0]["00080018"]["Value"][0]
    drawn = client.retrieve_instance_rendered(
        row.StudyInstanceUID, dicom.CT, first, media_types=("image/png",),
        params={"window": "40,400,linear"},
    )  # fmt: skip
    image = np.asarray(Image.open(io.BytesIO(drawn)))
    assert image[0, 0] == 0 and image[32, 32] == round((0 - 40 + 200) / 400 * 255)


@pytest.mark.parametrize(("path", "status"), [
    ("/studies/1.2.3/metadata", 404),
    ("/series/1.2.3", 404),
    ("/studies?limit=many", 400),
    ("/studies?NoSuchAttribute=1", 400),
    ("/nothing", 404),
    ("", 404),
])  # fmt: skip
def test_what_is_wrong_is_refused(url, path, status):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url + path)
    assert refused.value.code == status


def test_what_is_not_offered_is_not_acceptable(url):
    asked = urllib.request.Request(f"{url}/studies", headers={"Accept": "text/html"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked)
    assert refused.value.code == 406
