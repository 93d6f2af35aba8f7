"""The identity of installed code."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from veo_core.errors import UsageError
from veo_core.fingerprint import closure, code_of, files_of, module_fingerprint


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write modules of the package `fingerprinted`, by relative path."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(**sources: str) -> None:
        for name, source in sources.items():
            path = tmp_path / "fingerprinted" / f"{name.replace('__in__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)

    write(__init__="", sub__in____init__="")
    return write


def first_party(module: str) -> set[str]:
    return set(closure(module)[0])


def test_closure_when_modules_import_in_different_ways_finds_them_all(package: Callable[..., None]) -> None:
    package(
        main="import fingerprinted.a\nfrom fingerprinted import b\nfrom . import c\nfrom .sub import d\n"
        "def late():\n    from fingerprinted.sub.e import thing\n",
        a="import json, yaml",
        b="from fingerprinted.a import x",
        c="",
        sub__in__d="from .. import f",
        sub__in__e="thing = 1",
        f="import numpy as np",
        unused="",
    )

    sources, third_party = closure("fingerprinted.main")

    names = {name.removeprefix("fingerprinted").lstrip(".") for name in sources}
    assert names == {"", "main", "a", "b", "c", "f", "sub", "sub.d", "sub.e"}
    assert third_party == {"yaml", "numpy"}


def test_closure_when_modules_import_each_other_ends(package: Callable[..., None]) -> None:
    package(main="import fingerprinted.a", a="import fingerprinted.main")

    assert first_party("fingerprinted.main") == {"fingerprinted", "fingerprinted.main", "fingerprinted.a"}


def test_closure_when_a_package_is_run_covers_its_main_module(package: Callable[..., None]) -> None:
    package(sub__in____main__="from fingerprinted import a", a="")

    assert {"fingerprinted.sub.__main__", "fingerprinted.a"} <= first_party("fingerprinted.sub")


def test_fingerprint_when_an_imported_file_changes_changes_for_its_importers_only(
    package: Callable[..., None],
) -> None:
    package(one="from fingerprinted.a import x", two="from fingerprinted.b import y", a="x = 1", b="y = 1")
    before = [module_fingerprint(f"fingerprinted.{name}") for name in ("one", "two")]
    package(a="x = 2  # longer, so that size and time differ")
    after = [module_fingerprint(f"fingerprinted.{name}") for name in ("one", "two")]

    assert before[0] != after[0]
    assert before[1] == after[1]


def test_fingerprint_when_the_code_lies_elsewhere_stays(
    package: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(main="import fingerprinted.a", a="x = 1")
    before = module_fingerprint("fingerprinted.main")
    (tmp_path / "moved").mkdir()
    (tmp_path / "fingerprinted").rename(tmp_path / "moved" / "fingerprinted")
    monkeypatch.syspath_prepend(tmp_path / "moved")

    assert module_fingerprint("fingerprinted.main") == before


def test_code_names_each_file_by_its_path_with_data_files_and_libraries(
    package: Callable[..., None], tmp_path: Path
) -> None:
    package(main="from fingerprinted.sub import words\nimport yaml", sub__in__words="WORDS = 'words.txt'")
    (tmp_path / "fingerprinted" / "sub" / "words.txt").write_text("one")
    (tmp_path / "fingerprinted" / "unused").mkdir()
    (tmp_path / "fingerprinted" / "unused" / "other.txt").write_text("not beside any module")

    before = code_of("fingerprinted.main")
    assert set(before) == {
        "python", "PyYAML", "fingerprinted/__init__.py", "fingerprinted/main.py",
        "fingerprinted/sub/__init__.py", "fingerprinted/sub/words.py", "fingerprinted/sub/words.txt",
    }  # fmt: skip
    assert (
        before["fingerprinted/main.py"]
        == sha256((tmp_path / "fingerprinted/main.py").read_bytes()).hexdigest()
    )

    (tmp_path / "fingerprinted" / "sub" / "words.txt").write_text("one, two")
    after = code_of("fingerprinted.main")
    assert {name for name in after if after[name] != before[name]} == {"fingerprinted/sub/words.txt"}


def test_files_of_a_package_leave_out_what_tools_made_and_what_is_no_file(
    package: Callable[..., None], tmp_path: Path
) -> None:
    package(main="")
    for made in ("__pycache__/main.pyc", "web/node_modules/lib/index.js", "web/app.js"):
        path = tmp_path / "fingerprinted" / made
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("made")
    (tmp_path / "fingerprinted" / ".#main.py").symlink_to("editor@host")

    found = files_of("fingerprinted")
    assert set(found) == {
        "fingerprinted/__init__.py", "fingerprinted/main.py", "fingerprinted/sub/__init__.py",
        "fingerprinted/web/app.js",
    }  # fmt: skip
    assert found["fingerprinted/web/app.js"] == sha256(b"made").hexdigest()


def test_fingerprint_when_there_is_no_such_module_is_an_error(package: Callable[..., None]) -> None:
    with pytest.raises(UsageError, match=r"no module named 'fingerprinted\.nothing' is installed"):
        module_fingerprint("fingerprinted.nothing")
