import os
import select
import signal
import subprocess
import sys

SCRIPT = """
import os, sys, time
from veo_core.media.isolate import run_isolated
from veo_core.records.files import FileRef
from veo_core.stage import Context
from veo_core.storage import Store

def hold():
    pipe = os.open(sys.argv[2], os.O_WRONLY)
    os.write(pipe, f"{os.getpid()}\\n".encode())

def hang(item):
    hold()
    time.sleep(3600)
    return b""

def work(shard):
    hold()
    run_isolated(shard, hang, timeout_seconds=3600)
    return []

context = Context(stage="s", store=Store(sys.argv[1]), seed=0, key="k", workers=2)
context.map_shards(["a", "b", "c", "d"], work, identity=str, result=FileRef, shard_size=1)
"""


def read(pipe, timeout=30.0):
    assert select.select([pipe], [], [], timeout)[0], "nothing came"
    return os.read(pipe, 4096)


def test_no_worker_process_is_left_when_a_stage_is_killed(tmp_path):
    """Each worker, and the child in which it decodes, holds a pipe open for as long as it lives."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    stage = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path / "store"), str(path)])
    pids = set()
    while len(pids) < 4:
        pids |= set(read(pipe).split())
    os.kill(stage.pid, signal.SIGKILL)
    stage.wait()
    assert read(pipe) == b"", "a worker process outlives its stage"
    os.close(pipe)
