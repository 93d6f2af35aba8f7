"""Asks the judge that the environment names how much it was asked; then ends, or waits for SIGTERM."""

import os
import signal
import sys
import urllib.request

url = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
with urllib.request.urlopen(f"{url}/stats") as answer:
    print(answer.read().decode(), flush=True)
if "--wait" in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print("waits", flush=True)
    signal.pause()
sys.exit(7)
