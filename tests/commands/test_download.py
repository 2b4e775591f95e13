"""`lip2wav download`, as a user runs it. The downloader itself is tested in tests/grid/test_download.py."""

import subprocess
import sys
import time

from little_grid import run


def test_download_knows_grid_only(tmp_path, capfd):
    assert run("download", "lrs3", tmp_path) == 2
    assert "only grid can be downloaded" in capfd.readouterr().err


def test_without_a_network_each_try_is_reported_at_once(tmp_path):
    """On stderr, though that is no terminal: the first line before the first answer, then one for each try."""
    command = [sys.executable, "-m", "lip2wav_hf.commands.main", "download", "grid", str(tmp_path), "--tries", "3"]
    start = time.monotonic()
    with subprocess.Popen([*command, "--base-url", "http://127.0.0.1:9/api"], stderr=subprocess.PIPE) as process:
        lines, times = [], []
        for line in process.stderr:
            lines.append(line.decode().rstrip())
            times.append(time.monotonic() - start)
    assert process.returncode == 2
    assert lines[:3] == [
        "asking 127.0.0.1:9 for the list of GRID's files",
        "127.0.0.1:9: no connection, trying again in 1 s (2 of 3)",
        "127.0.0.1:9: no connection, trying again in 2 s (3 of 3)",
    ]
    assert len(lines) == 4 and lines[3].startswith("error: http://127.0.0.1:9/api/records/3625687: no connection, 3 ")
    assert times[3] - times[1] > 2.9  # the lines came when they were true, not at the end
