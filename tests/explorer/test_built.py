"""What is shipped of the front end is what its sources give."""

import json
from hashlib import sha256
from pathlib import Path

import veo_core.explorer
from veo_core.explorer.typescript import declarations

EXPLORER = Path(veo_core.explorer.__file__).parent
WEB, STATIC = EXPLORER / "web", EXPLORER / "static"
MEND = "run `make web`, and commit what it changes"


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def test_built_files_are_of_these_sources():
    built = json.loads((STATIC / "build.json").read_text())
    sources = {
        path.relative_to(WEB).as_posix(): digest(path)
        for path in WEB.rglob("*")
        if path.is_file() and "node_modules" not in path.parts
    }
    assert built["sources"] == sources, MEND
    assert built["built"] == {name: digest(STATIC / name) for name in built["built"]}, MEND
    assert set(built["built"]) | {"build.json"} == {path.name for path in STATIC.iterdir()}


def test_types_of_the_front_end_are_those_of_the_documents():
    assert (WEB / "src" / "documents.ts").read_text() == declarations(), MEND


def test_licences_of_all_bundled_libraries_are_shipped():
    shipped = (STATIC / "licences.txt").read_text()
    for name, version in json.loads((WEB / "package.json").read_text())["dependencies"].items():
        assert f"{name} {version} (" in shipped
    assert shipped.count("Permission") + shipped.count("Redistribution") >= 4


def test_lock_file_has_a_digest_for_every_package_and_no_address():
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    named = {name: package for name, package in packages.items() if name}
    assert all("integrity" in package and "resolved" not in package for package in named.values())


def test_script_makes_no_markup_out_of_text():
    sources = "".join(path.read_text() for path in (WEB / "src").rglob("*.ts*"))
    for forbidden in ("innerHTML", "dangerouslySetInnerHTML", "outerHTML", "insertAdjacentHTML", "eval("):
        assert forbidden not in sources
