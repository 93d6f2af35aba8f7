import os
import signal
import subprocess
import sys
from multiprocessing.connection import Listener

SCRIPT = """
import os, sys, time
from functools import partial
from multiprocessing.connection import Client
from veo_core.media.isolate import run_isolated
from veo_core.records.files import FileRef
from veo_core.stage import Context
from veo_core.storage import Store

def hang(item, connections):
    client = Client(sys.argv[2])
    client.send_bytes(str(os.getpid()).encode())
    time.sleep(3600)
    return b""

def work(shard):
    client = Client(sys.argv[2])
    client.send_bytes(str(os.getpid()).encode())
    run_isolated(shard, partial(hang, connections=[client]), timeout_seconds=3600)
    return []

context = Context(stage="s", store=Store(sys.argv[1]), seed=0, key="k", workers=2)
context.map_shards(["a", "b", "c", "d"], work, identity=str, result=FileRef, shard_size=1)
"""


def test_no_worker_process_is_left_when_a_stage_is_killed(tmp_path):
    """Each worker, and the child in which it decodes, holds a connection open for as long as it lives."""
    address = str(tmp_path / "socket")
    with Listener(address) as listener:
        stage = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path / "store"), address])
        connections = [listener.accept() for _ in range(4)]
        pids = {int(connection.recv_bytes()) for connection in connections}
        assert len(pids) == 4
        os.kill(stage.pid, signal.SIGKILL)
        stage.wait()
        for connection in connections:
            assert connection.poll(30), "a worker process outlives its stage"
