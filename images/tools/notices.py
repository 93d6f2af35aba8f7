"""Print the notices of this environment: each distribution with its licence, and FFmpeg with its codecs'."""

import importlib.metadata
import re
import sys
import sysconfig
from importlib.metadata import Distribution
from pathlib import Path

from av._core import library_meta

# The libraries that PyAV bundles, by the name of their files, with the SPDX expression of their licences.
_BUNDLED = {
    "SvtAv1Enc": "BSD-3-Clause-Clear",
    "Xau": "MIT",
    "asound": "LGPL-2.1-or-later",
    "dav1d": "BSD-2-Clause",
    "drm": "MIT",
    "gmp": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "gnutls": "LGPL-2.1-or-later",
    "hogweed": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "mp3lame": "LGPL-2.0-or-later",
    "nettle": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "opencore-amrnb": "Apache-2.0",
    "opencore-amrwb": "Apache-2.0",
    "opus": "BSD-3-Clause",
    "sharpyuv": "BSD-3-Clause",
    "unistring": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "vpl": "MIT",
    "vpx": "BSD-3-Clause",
    "webp": "BSD-3-Clause",
    "webpmux": "BSD-3-Clause",
    "x264": "GPL-2.0-or-later",
    "x265": "GPL-2.0-or-later",
    "xcb": "MIT",
    "xcb-shape": "MIT",
    "xcb-shm": "MIT",
    "xcb-xfixes": "MIT",
}
_RULE = "=" * 80


def main() -> int:
    bundled = _bundled_names()
    unknown = sorted(bundled - _BUNDLED.keys())
    if unknown:
        print(f"PyAV bundles libraries of unknown licence: {', '.join(unknown)}", file=sys.stderr)
        return 1
    codec = library_meta["libavcodec"]
    print("This image is of the project veo-from-scratch, Apache-2.0, and holds what follows.\n")
    print(_RULE)
    print(f"FFmpeg, libavcodec {'.'.join(map(str, codec['version']))}, bundled by PyAV {_version('av')}\n")
    print(f"It calls itself: {codec['license']}. Its configuration: {codec['configuration']}\n")
    print("It is linked with libx264 and libx265, so what is made of them together is under the GNU General")
    print(
        "Public License, version 3 or later. Sources: https://ffmpeg.org, https://github.com/PyAV-Org/pyav-ffmpeg.\n"
    )
    print("Libraries bundled with it:")
    for name in sorted(bundled):
        print(f"  lib{name}: {_BUNDLED[name]}")
    for distribution in sorted(importlib.metadata.distributions(), key=lambda found: found.name.lower()):
        _print_distribution(distribution)
    return 0


def _bundled_names() -> set[str]:
    """Names of the libraries beside PyAV's FFmpeg, without `lib`, digest and version."""
    folder = Path(sysconfig.get_path("platlib"), "av.libs")
    names = {re.sub(r"^lib|-[0-9a-f]{8}\.so.*|\.so.*", "", path.name) for path in folder.iterdir()}
    return {name for name in names if f"lib{name}" not in library_meta}


def _version(name: str) -> str:
    return importlib.metadata.version(name)


def _print_distribution(distribution: Distribution) -> None:
    print(f"\n{_RULE}\n{distribution.name} {distribution.version}: {_licence(distribution)}\n")
    for file in distribution.files or []:
        if ".dist-info" in file.parts[0] and re.match(r"(?i)licen[cs]e|copying|notice", file.name):
            print(Path(str(distribution.locate_file(file))).read_text(encoding="utf-8", errors="replace"))


def _licence(distribution: Distribution) -> str:
    """The licence as the distribution's metadata tells it."""
    metadata = distribution.metadata
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in metadata.get_all("Classifier") or []
        if text.startswith("License ::")
    ]
    first_line = (metadata.get("License") or "").strip().partition("\n")[0]
    return metadata.get("License-Expression") or first_line or ", ".join(classifiers) or "see its files"


if __name__ == "__main__":
    sys.exit(main())
