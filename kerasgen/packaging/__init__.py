"""A model as what people install, upload, start or open: a wheel, a zip for AWS Lambda, a zipapp, a page, a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from kerasgen.api import export
from kerasgen.display import Display, Displayed
from kerasgen.emit.load import load_module
from kerasgen.emit.publish import check_target, publish, publish_folder, workplace
from kerasgen.errors import FileError, UsageError
from kerasgen.names import module_name, printable
from kerasgen.packaging import aws_lambda, folder, page, wheel, zipapp
from kerasgen.packaging.subject import Subject
from kerasgen.verification.result import ExportResult

__all__ = ["FORMS", "Package", "package"]

TAKEN = ("handler", "bridge")  # modules that stand beside the model's in some forms


@dataclass(frozen=True)
class Form:
    """A form of package.

    `target` is its default place and `module` where its module stands, both with {name} for the module's name.
    `prepare` checks the settings that only this form has, named in `settings`, and returns what `build` takes:
    build(subject, stage, settings) makes a file or a folder in `stage` and returns it, with messages for people.
    """

    target: str
    module: str
    build: Callable[[Subject, Path, Any], tuple[Path, list[str]]]
    prepare: Callable[..., Any]
    settings: tuple[str, ...] = ()

    @property
    def is_folder(self) -> bool:
        """Whether the package is a folder, which may stand there already."""
        return "." not in self.target


FORMS: Mapping[str, Form] = {
    "wheel": Form(".", "{name}/model.py", wheel.build, wheel.prepare, ("version",)),
    "lambda": Form("{name}.zip", "{name}.py", aws_lambda.build, aws_lambda.prepare, ("arch", "python", "numpy")),
    "zipapp": Form("{name}.pyz", "{name}.py", zipapp.build, dict),
    "pyodide": Form("{name}_page", "{name}.py", page.build, page.prepare, ("pyodide",)),
    "folder": Form("{name}", "{name}.py", folder.build, dict),
}


@dataclass(frozen=True)
class Package(Displayed):
    """A package that was written: its file or folder, the export inside, and what else is to be said."""

    path: Path
    exported: ExportResult
    notes: tuple[str, ...] = ()

    def display(self) -> Display:
        """The path, and what is to be said."""
        return Display(sentences=[str(self.path), *self.messages])

    @property
    def messages(self) -> list[str]:
        """Sentences about the result: those of the export, then those of the package."""
        return [*self.exported.messages, *self.notes]


def package(
    source: Any,
    form: str,
    output: str | os.PathLike[str] | None = None,
    *,
    name: str = "",
    version: str | None = None,
    arch: str | None = None,
    python: str | None = None,
    numpy: str | os.PathLike[str] | None = None,
    pyodide: str | None = None,
    force: bool = False,
    on_step: Callable[[str], object] = lambda step: None,
    **options: Any,
) -> Package:
    """Export a model and make a package of its module. The weights are a file beside the module in every form.

    `form` is "wheel", "lambda", "zipapp", "pyodide" or "folder". `output` is the file or the folder to write; for a
    wheel, whose file name is prescribed, the folder that it goes to. By default it is in the current folder, called
    after the model. `name` is the name of the package, by default the model's. `force` replaces files that exist.

    `version` is that of a wheel, by default 0.1.0. A zip for AWS Lambda has NumPy for `arch` ("x86_64" or "arm64") and
    `python` ("3.12"), fetched by pip, or the wheel `numpy`. `pyodide` is the address of Pyodide for a page that has no
    folder pyodide/ beside it. `options` are those of `kerasgen.export`, but for `output` and `store`.

    Raises what `export` raises; UsageError also for settings of another form and for what AWS Lambda would refuse.
    """
    chosen = FORMS.get(form)
    if chosen is None:
        raise UsageError(f"the form of a package is one of {', '.join(FORMS)}, not {form!r}")
    given = {"version": version, "arch": arch, "python": python, "numpy": numpy, "pyodide": pyodide}
    if options.get("minimal") or options.get("target", "numpy") != "numpy":
        raise UsageError("a package runs its module as a program, with NumPy: no `minimal=True`, no `target='pure'`")
    settings = chosen.prepare(**_settings(form, {key: value for key, value in given.items() if value is not None}))
    title, module = _names(source, name)
    target = Path(chosen.target.format(name=module) if output is None else output)
    sources = (source, options.get("weights"), options.get("inputs"), numpy)
    _check(chosen, form, target, sources, force)
    with workplace(target / "_" if form == "wheel" else target) as stage:
        file = stage / "module" / chosen.module.format(name=module)
        file.parent.mkdir(parents=True)
        result = export(source, file, store="sidecar", on_step=on_step, **options)
        on_step("package")
        subject = Subject(title, module, file, load_module(file), result.unverified)
        built, notes = chosen.build(subject, stage, settings)
        if built.is_dir():
            for path in built.iterdir() if target.is_dir() else ():
                check_target(target / path.name, sources=sources, force=True)
            publish_folder(built, target, force=force)
        else:
            target = target / built.name if form == "wheel" else target
            check_target(target, sources=sources, force=force)
            os.replace(built, stage / target.name)
            publish(stage, [target], force=force)
    return Package(target, result, tuple(notes))


def _settings(form: str, given: dict[str, Any]) -> dict[str, Any]:
    """The settings, all of which this form must have."""
    for key, value in given.items():
        if key not in FORMS[form].settings:
            (other,) = (name for name, each in FORMS.items() if key in each.settings)
            raise UsageError(f"`{key}={str(value)!r}` goes with `form={other!r}`, not with `form={form!r}`")
    return given


def _names(source: Any, name: str) -> tuple[str, str]:
    """The name of the package, as package indexes allow it, and that of its module."""
    module = PurePath(module_name(f"{name}.py" if name else source)).stem
    if module in TAKEN:
        module += "_model"
    title = name or module.replace("_", "-").strip("-")
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", title):
        raise UsageError(
            f"the name of a package has letters, digits, - _ and . inside: {printable(repr(name))} does not"
        )
    if title.lower() == "numpy":
        raise UsageError("the package needs NumPy: give it another name")
    return title, module


def _check(form: Form, kind: str, target: Path, sources: tuple[Any, ...], force: bool) -> None:
    """Raise FileError where this package may not be written, as far as that is known before it is made."""
    shown = printable(str(target))
    if kind == "wheel":
        if not target.is_dir():
            raise FileError(f"{shown}: no such folder; a wheel has a file name of its own and goes into a folder")
    elif not form.is_folder or not target.is_dir():
        check_target(target, sources=sources, force=force and not form.is_folder)
    elif any(target.iterdir()) and not force:
        raise FileError(f"{shown}: exists; use `force=True` to replace its files")
