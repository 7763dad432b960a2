"""Identifiers as people write them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idc_mcp.errors import BadArgument, IdcError, NotFound
from idc_mcp.idc.identifiers import identify


@pytest.mark.parametrize(
    ("written", "kind", "value"),
    [
        ("tcga_luad", "collection", "tcga_luad"),
        ("TCGA-LUAD", "collection", "tcga_luad"),
        ("LIDC-IDRI", "collection", "lidc_idri"),
        ("PROSTATEx", "collection", "prostatex"),
        (" '4D-Lung' ", "collection", "4d_lung"),
        (
            "TotalSegmentator-CT-Segmentations",
            "analysis_result",
            "totalsegmentator_ct_segmentations",
        ),
        ("https://doi.org/10.7937/TCIA.HMQ8-J677", "doi", "10.7937/tcia.hmq8-j677"),
        ("doi:10.7937/tcia.hmq8-j677", "doi", "10.7937/tcia.hmq8-j677"),
        ("100002", "patient", "nlst/100002"),
        ("NLST/100002", "patient", "nlst/100002"),
        ("vestibular_schwannoma_seg/VS-SEG-010", "patient", "vestibular_schwannoma_seg/VS-SEG-010"),
    ],
)
def test_read_forgivingly(index, written, kind, value):
    found = identify(index, written)
    assert (found.kind, found.value) == (kind, value)
    assert value in found.understood or value.split("/")[1] in found.understood


def test_a_patient_named_like_its_collection(index):
    assert identify(index, "qiba_ct_1c").kind == "collection"
    assert identify(index, "QIBA_CT_1C").kind == "patient"
    with pytest.raises(BadArgument, match="names 2 things"):
        identify(index, "Qiba_CT_1c")


def test_reading_is_said(index):
    assert identify(index, "TCGA-LUAD").understood == "collection tcga_luad (read from 'TCGA-LUAD')"


def test_series_by_every_name(index):
    uuid, uid, study, bucket = index.row(
        "SELECT crdc_series_uuid, SeriesInstanceUID, StudyInstanceUID, aws_bucket "
        "FROM core.series WHERE collection_id = '4d_lung' LIMIT 1"
    )
    for written in (
        uuid,
        uuid.upper(),
        uid,
        f"s3://{bucket}/{uuid}/*",
        f"gs://{bucket}/{uuid}/a.dcm",
    ):
        assert identify(index, written).value == uuid
    assert identify(index, study).kind == "study"


def test_prior_version_is_named_by_its_uuid_only(index):
    uuid, uid = index.row(
        "SELECT crdc_series_uuid, SeriesInstanceUID FROM core.prior "
        "ANTI JOIN core.series USING (SeriesInstanceUID) LIMIT 1"
    )
    found = identify(index, uuid)
    assert found.prior
    assert "prior version" in found.understood
    with pytest.raises(NotFound) as error:
        identify(index, uid)
    assert "was last in v" in error.value.what
    assert uuid in error.value.nearest


def test_ambiguous_patient_is_said_to_be_so(index):
    with pytest.raises(BadArgument, match="names 2 things") as error:
        identify(index, "VS-SEG-010")
    assert "collection_id/PatientID" in error.value.next_step


@pytest.mark.parametrize("written", ["tcga_luadd", "lidc-idr", "prostatx"])
def test_unknown_gets_the_nearest(index, written):
    with pytest.raises(NotFound) as error:
        identify(index, written)
    assert error.value.nearest
    assert "idc_search" in error.value.next_step


@pytest.mark.parametrize("written", ["", "  ", "''"])
def test_empty_is_an_error(index, written):
    with pytest.raises(BadArgument):
        identify(index, written)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_identified_or_refused_in_words(index, text):
    try:
        found = identify(index, text)
    except IdcError as error:
        assert error.what
        assert error.next_step
    else:
        assert index.row(f"SELECT 1 FROM core.series WHERE {found.where} LIMIT 1")


def test_uids_made_of_a_uuid(index):
    study, uid, uuid = index.row(
        "SELECT StudyInstanceUID, SeriesInstanceUID, crdc_series_uuid FROM core.series "
        "WHERE starts_with(StudyInstanceUID, '2.25.') AND starts_with(SeriesInstanceUID, '2.25.') "
        "LIMIT 1"
    )
    assert identify(index, study).kind == "study"
    assert identify(index, uid).value == uuid
