"""A zip for AWS Lambda: a handler, the module, its weights, and NumPy as Lambda's Linux needs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from kerasgen.errors import FileError, UsageError
from kerasgen.names import printable
from kerasgen.packaging.archive import write_zip
from kerasgen.packaging.subject import Subject, python


class Runtime(NamedTuple):
    """A Python of Lambda's: the minor version of its glibc 2, and the NumPy that a package gets."""

    glibc: int
    numpy: str


# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html: Amazon Linux 2 up to 3.11, then Amazon Linux 2023.
RUNTIMES = {
    "3.10": Runtime(26, "2.2.6"),
    "3.11": Runtime(26, "2.2.6"),
    "3.12": Runtime(34, "2.2.6"),
    "3.13": Runtime(34, "2.2.6"),
    "3.14": Runtime(34, "2.3.5"),
}
ARCHS = {"x86_64": "x86_64", "arm64": "aarch64"}  # Lambda's name, and that of wheels
OLD_TAGS = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}  # the glibc that they stand for

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, in bytes
MOST_UNZIPPED = 250 * 2**20
MOST_UPLOADED = 50 * 2**20

# What a program that imports NumPy does not need: tests, what compilers and type checkers read.
NOT_NEEDED = re.compile(r"/tests/|/include/|^numpy/f2py/|\.(pyi|pxd|pyx|a|h|c|ini)$|^[^/]+\.data/")


class Settings(NamedTuple):
    """Lambda's architecture, its Python, and the wheel of NumPy, or None for the one that pip finds."""

    arch: str
    python: str
    numpy: Path | None


def prepare(arch: str = "x86_64", python: str = "3.12", numpy: str | os.PathLike[str] | None = None) -> Settings:
    """The settings. Raises UsageError where Lambda has no such machine, or NumPy's wheel is for another one."""
    if arch not in ARCHS:
        raise UsageError(f"AWS Lambda runs on {' or '.join(ARCHS)}, not on {printable(arch)}")
    if python not in RUNTIMES:
        raise UsageError(f"AWS Lambda has Python {', '.join(RUNTIMES)}, not {printable(python)}")
    settings = Settings(arch, python, None if numpy is None else Path(numpy))
    if settings.numpy is not None:
        _check_wheel(settings.numpy, settings)
    return settings


def build(subject: Subject, stage: Path, settings: Settings) -> tuple[Path, list[str]]:
    """Write the zip. Raises UsageError where it is larger than Lambda allows, FileError where NumPy cannot be had."""
    folder = subject.file.parent
    (folder / "handler.py").write_bytes(python("handler.py.jinja", subject=subject))
    _unpack(settings.numpy or _download(settings, stage), folder)
    compiled = _compile(folder, settings.python)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    unzipped = sum(path.stat().st_size for path in files.values())
    if unzipped > MOST_UNZIPPED:
        weights = subject.sidecar.stat().st_size
        raise UsageError(
            f"{subject.name}: is {_mib(unzipped)} unzipped, {_mib(weights)} of it weights: AWS Lambda takes "
            f"{_mib(MOST_UNZIPPED)}; use a container image"
        )
    path = stage / "package.zip"
    write_zip(path, files, compress=True)
    return path, list(_notes(path.stat().st_size, unzipped, compiled, settings))


def _notes(size: int, unzipped: int, compiled: bool, settings: Settings) -> Iterator[str]:
    yield (
        f"for python{settings.python} on {settings.arch}: {_mib(size)}, {_mib(unzipped)} unzipped; "
        "the handler is handler.handler"
    )
    if size > MOST_UPLOADED:
        yield f"warning: a direct upload takes {_mib(MOST_UPLOADED)}: upload this one through S3"
    if not compiled:
        yield f"not compiled, so that cold starts are slower: there is no python{settings.python} here"


def _mib(size: int) -> str:
    """A size as Lambda counts it."""
    return f"{size / 2**20:.1f} MB".replace(".0 ", " ")


def _check_wheel(path: Path, settings: Settings) -> None:
    """Raise UsageError unless this is a wheel of NumPy for Lambda's machine, as its name says."""
    name = re.fullmatch(r"numpy-[^-]+-([^-]+)-([^-]+)-([^-]+)\.whl", path.name)
    shown = printable(str(path))
    if name is None:
        raise UsageError(f"{shown}: is not a wheel of NumPy, by its name")
    if not path.is_file():
        raise FileError(f"{shown}: no such file")
    version = f"cp{settings.python.replace('.', '')}"
    glibc = [
        OLD_TAGS.get(tag[1]) or int(tag[2] or 999)
        for tag in re.finditer(r"(manylinux(?:\d{4}|1(?=_)|_2_(\d+)))_" + ARCHS[settings.arch], name[3])
    ]
    if version != name[1] or version != name[2] or min(glibc, default=999) > RUNTIMES[settings.python].glibc:
        raise UsageError(f"{shown}: does not run on AWS Lambda's python{settings.python} on {settings.arch}")


def _download(settings: Settings, stage: Path) -> Path:
    """The wheel of NumPy, fetched by pip from the index that it is set up for."""
    runtime = RUNTIMES[settings.python]
    tags = ["manylinux2014", *(["manylinux_2_28"] if runtime.glibc >= 28 else [])]
    folder = stage / "numpy"
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--only-binary=:all:", "--implementation=cp", f"--python-version={settings.python}"),
        *(f"--platform={tag}_{ARCHS[settings.arch]}" for tag in tags),
        *(f"--dest={folder}", f"numpy=={runtime.numpy}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = list(folder.glob("*.whl"))
    if done.returncode or len(found) != 1:
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise FileError(
            f"NumPy {runtime.numpy} cannot be fetched; give `numpy='WHEEL'`: {said[-1] if said else 'pip failed'}"
        )
    return found[0]


def _unpack(wheel: Path, folder: Path) -> None:
    """Put what a program needs of NumPy beside the module."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                path = PurePosixPath(name)
                if path.is_absolute() or ".." in path.parts or not path.parts[0].startswith("numpy"):
                    raise UsageError(f"{printable(str(wheel))}: holds {printable(name)}, which is not NumPy's")
                if not name.endswith("/") and not NOT_NEEDED.search(name):
                    archive.extract(name, folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise FileError(f"{printable(str(wheel))}: cannot be read: {error}") from error


def _compile(folder: Path, version: str) -> bool:
    """Compile all of it for this Python, if there is one here: Lambda's folder is read-only, each start would do it.

    The .pyc files do not depend on when and where that is done, and are not compared with the sources.
    """
    current = "{}.{}".format(*sys.version_info)
    interpreter = sys.executable if version == current else shutil.which(f"python{version}")
    if interpreter is None:
        return False
    command = [interpreter, "-S", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash"]
    command += ["-s", str(folder), "-p", "/var/task", str(folder)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
