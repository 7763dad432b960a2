"""Downloads as a client asks for them: plan, confirmation, job, status, steering."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mcp_types import ElicitResult

from idc_mcp.cli.mirror import Mirror
from idc_mcp.cli.standins import stand_in
from idc_mcp.index.store import Index
from idc_mcp.settings import Settings
from tests.server.conftest import connected

pytestmark = pytest.mark.anyio
ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])


class Small(NamedTuple):
    """Real series of the catalogue, one small file each, on a mirror."""

    cohort: str
    count: int
    bytes: int
    settings: Settings
    mirror: Mirror


@pytest.fixture
def small(index: Index, settings: Settings, tmp_path: Path) -> Iterator[Small]:
    rows = index.rows(
        "SELECT aws_bucket, crdc_series_uuid, SeriesInstanceUID, PatientID, series_bytes "
        "FROM core.series WHERE instanceCount = 1 AND series_bytes < 20000 "
        "AND collection_id = 'nsclc_radiomics' ORDER BY SeriesInstanceUID LIMIT 12"
    )
    for bucket, uuid, uid, patient, size in rows:
        stand_in(
            tmp_path / "bucket" / bucket / uuid / f"{uuid}.dcm", size, sop_class_uid="1.2",
            sop_instance_uid=f"{uid}.1", series_instance_uid=uid, modality="SR",
            patient_id=patient,
        )  # fmt: skip
    with Mirror(tmp_path / "bucket") as mirror:
        yield Small(
            ",".join(row[2] for row in rows),
            len(rows),
            sum(row[4] for row in rows),
            dataclasses.replace(
                settings, offline=False, aws_url=mirror.url, gcs_url=mirror.url, patience_s=2.0
            ),
            mirror,
        )


async def ask(client: Any, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content[0].text
    return dict(result.structured_content)


def files(settings: Settings) -> list[Path]:
    return sorted(settings.output_dir.rglob("*.dcm"))


@ERAS
async def test_from_a_plan_to_verified_files_and_back(small, mode):
    async with connected(small.settings, mode) as client:
        plan = await ask(client, "idc_download", cohort=small.cohort, directory="sr", dry_run=True)
        assert plan["state"] == "planned"
        assert (plan["series"], plan["files"], plan["bytes"]) == (12, 12, small.bytes)
        assert not small.settings.output_dir.exists()
        begun = await ask(client, "idc_download", cohort=small.cohort, directory="sr", wait_s=30)
        assert begun["state"] == "complete"
        assert sum(path.stat().st_size for path in files(small.settings)) == small.bytes
        job = begun["job"]
        done = await ask(client, "idc_jobs", job=job)
        assert done["files"] == "12 of 12 whole"
        assert done["proof"] == "12 files by size and MD5"
        listed = await ask(client, "idc_jobs")
        assert listed["jobs"]["rows"][0][:2] == [job, "complete"]

        asked = len(small.mirror.requests)
        again = await ask(client, "idc_download", cohort=small.cohort, directory="sr")
        assert again["state"] == "complete"
        assert again["here"].startswith("12 series whole")
        assert len(small.mirror.requests) == asked

        content = files(small.settings)[3].read_bytes()
        files(small.settings)[3].write_bytes(content[:-2] + b"xx")
        bad = await ask(client, "idc_job_control", job=job, action="verify", deep=True, wait_s=30)
        assert bad["series"] == "11 complete, 1 failed"
        assert "1 file damaged" in bad["unfinished"]["rows"][0][1]
        mended = await ask(client, "idc_job_control", job=job, action="resume", wait_s=30)
        assert mended["state"] == "complete"
        assert files(small.settings)[3].read_bytes() == content


@ERAS
@pytest.mark.parametrize(("answer", "state"), [(True, "complete"), (False, None)])
async def test_a_large_download_is_confirmed_by_the_user(small, mode, answer, state):
    questions = []

    async def person(_: Any, params: Any) -> ElicitResult:
        questions.append(params.message)
        return ElicitResult(action="accept", content={"confirm": answer})

    settings = dataclasses.replace(small.settings, confirm_over_gb=0.0)
    async with connected(settings, mode, elicitation_callback=person) as client:
        result = await client.call_tool("idc_download", {"cohort": small.cohort, "wait_s": 30})
    assert len(questions) == 1
    assert "12 files" in questions[0]
    if answer:
        assert result.structured_content["state"] == state
    else:
        assert result.is_error
        assert "did not agree" in result.content[0].text
        assert not files(settings)


@ERAS
async def test_where_nobody_can_be_asked_an_argument_confirms(small, mode):
    settings = dataclasses.replace(small.settings, confirm_over_gb=0.0)
    async with connected(settings, mode) as client:
        told = await ask(client, "idc_download", cohort=small.cohort)
        assert told["state"] == "to be confirmed"
        assert "confirm_over_gb=0.1" in told["next"]
        assert not settings.output_dir.exists()
        done = await ask(
            client, "idc_download", cohort=small.cohort, confirm_over_gb=0.1, wait_s=30
        )
        assert done["state"] == "complete"


@ERAS
async def test_progress_comes_to_a_client_that_asks_for_it(small, mode):
    heard = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        heard.append((done, total, message))

    async with connected(small.settings, mode) as client:
        await client.call_tool(
            "idc_download", {"cohort": small.cohort, "wait_s": 30}, progress_callback=progress
        )
    assert [done for done, _, _ in heard] == sorted({done for done, _, _ in heard})
    assert all(total == small.bytes for _, total, _ in heard)
    assert all("of" in message for _, _, message in heard)


async def test_a_hosted_server_does_not_download(settings):
    async with connected(dataclasses.replace(settings, hosted=True)) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
    assert len(names) == 11
    assert not {name for name in names if "job" in name or "download" in name}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"directory": "../elsewhere"}, "outside the output directory"),
        ({"directory": "/etc"}, "outside the output directory"),
        ({"directory": "a\0b"}, "not a directory's name"),
        ({"layout": "%PatientID/../.."}, "cannot be used"),
        ({"layout": "%patientid"}, "%PatientID"),
        ({"engine": "wget"}, "'engine' was 'wget'"),
        ({"cohort": "tcga_laud"}, "tcga_luad"),
    ],
)
async def test_what_cannot_be_done_is_said(small, arguments, said):
    async with connected(small.settings) as client:
        result = await client.call_tool("idc_download", {"cohort": small.cohort} | arguments)
    assert result.is_error
    assert said in result.content[0].text
    assert not files(small.settings)


async def test_without_network_a_download_says_so(small):
    settings = dataclasses.replace(small.settings, offline=True)
    async with connected(settings) as client:
        result = await client.call_tool("idc_download", {"cohort": small.cohort})
    assert result.is_error
    assert "IDC_MCP_OFFLINE" in result.content[0].text


@pytest.mark.parametrize("tool", ["idc_jobs", "idc_job_control"])
async def test_an_unknown_job_names_those_that_are(small, tool):
    async with connected(small.settings) as client:
        job = (await ask(client, "idc_download", cohort=small.cohort, wait_s=30))["job"]
        more = {"action": "verify"} if tool == "idc_job_control" else {}
        result = await client.call_tool(tool, {"job": "j_0"} | more)
    assert result.is_error
    assert job in result.content[0].text
