"""Leave one FFmpeg in this environment: PyAV's.

OpenCV's wheel bundles an FFmpeg for its video capture, which nothing here calls. Its libraries become links
to PyAV's of the same major version, which FFmpeg keeps binary compatible; what only they needed is deleted.
"""

import re
import sys
import sysconfig
from pathlib import Path

_LIBRARY = re.compile(
    r"(lib(?:avcodec|avdevice|avfilter|avformat|avutil|swresample|swscale))-\w+\.so\.(\d+)\.(\d+)\.(\d+)"
)


def main() -> int:
    site = Path(sysconfig.get_path("platlib"))
    kept, doubled = site / "av.libs", site / "opencv_python_headless.libs"
    if not doubled.is_dir():
        return 0
    ours = {match[1]: (path, _version(match)) for path, match in _ffmpeg(kept)}
    for path, match in _ffmpeg(doubled):
        target, version = ours[match[1]]
        if version[0] != _version(match)[0] or version < _version(match):
            print(
                f"{path.name}: PyAV's {target.name} cannot stand for it; lock versions that fit",
                file=sys.stderr,
            )
            return 1
        path.unlink()
        path.symlink_to(Path("..") / kept.name / target.name)
    for path in kept.iterdir():  # the loader looks for what PyAV's libraries need beside the link to them
        link = doubled / path.name
        link.unlink(missing_ok=True)
        link.symlink_to(Path("..") / kept.name / path.name)
    _delete_unneeded(doubled, list((site / "cv2").rglob("*.so")))
    return 0


def _ffmpeg(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    """FFmpeg's libraries in a folder."""
    matches = [(path, _LIBRARY.fullmatch(path.name)) for path in sorted(folder.iterdir())]
    return [(path, match) for path, match in matches if match]


def _version(match: re.Match[str]) -> tuple[int, ...]:
    return tuple(int(part) for part in match.groups()[1:])


def _delete_unneeded(folder: Path, modules: list[Path]) -> None:
    """Delete the libraries that neither the modules nor another library of the folder name."""
    while True:
        files = [path for path in folder.iterdir() if not path.is_symlink()]
        contents = {path: path.read_bytes() for path in [*modules, *files]}
        unneeded = [
            path
            for path in files
            if not any(path.name.encode() in data for other, data in contents.items() if other != path)
        ]
        if not unneeded:
            return
        for path in unneeded:
            path.unlink()


if __name__ == "__main__":
    sys.exit(main())
