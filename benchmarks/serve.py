"""The server under load: 200 clients that come back when they are told to, for a minute.

The model is a tiny one with random weights (9 frames of 32 x 32 pixels, 4 steps), so that the figures are the
server's: HTTP, filter, queue, batches, encoding, store.

QUICK=1 python -m benchmarks.serve
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import torch

from benchmarks.report import Row, publish, quick, seed
from veo_core.data.spec import ClipSpec
from veo_core.export.folder import export_model
from veo_core.generate.pipeline import Generator
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.codecs import AudioCodec, VideoCodec
from veo_core.models.text import TextEncoder, Vocabulary
from veo_core.models.transformer import JointTransformer
from veo_core.models.upsampler import Upsampler
from veo_core.models.video_vae import VideoVAE
from veo_core.train.runtime import Runtime, RuntimeConfig
