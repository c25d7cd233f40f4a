"""What a conversion is asked for: the options of a form, and what two requests must have in common to share results."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from fastapi import HTTPException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, ValidationError, model_validator

import kerasgen
from kerasgen.emit.processing import scaling
from kerasgen.errors import UsageError
from kerasgen.names import LONGEST, is_identifier, module_name, printable
from kerasgen.service.upload import Form

NEUTRAL = "model"  # the name of the module in results that are shared


def _identifier(name: str) -> str:
    if name and (module_name(f"{name}.h5") != f"{name}.py" or not is_identifier(name)):
        raise ValueError("it must be an identifier, and no name of Python's")
    return name


def _scaling(preprocess: str) -> str:
    if preprocess:
        try:
            scaling(preprocess)
        except UsageError as error:
            raise ValueError(str(error)) from error
    return preprocess


class Options(BaseModel):
    """Options of a conversion, as `kerasgen export` has them. `name` is the module's, without .py."""

    model_config = ConfigDict(extra="forbid")

    store: Literal["embedded", "sidecar"] = "embedded"
    optimize: Literal[0, 1, 2] = 2
    activations: StrictBool = False
    gradients: StrictBool = False
    streaming: StrictBool = False
    strict: StrictBool = False
    labels: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=10_000)] | None = None
    preprocess: Annotated[str, Field(max_length=LONGEST), AfterValidator(_scaling)] = ""
    name: Annotated[str, Field(max_length=LONGEST), AfterValidator(_identifier)] = ""

    @model_validator(mode="after")
    def _consistent(self) -> Options:
        if self.activations + self.gradients + self.streaming > 1:
            raise ValueError("a module has either activations, gradients or streaming")
        return self


def parse_options(text: str) -> Options:
    """The options in a JSON text. HTTPException 422 says in one line what is wrong with it."""
    try:
        return Options.model_validate_json(text or "{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(("options", *(str(part) for part in first["loc"])))
        raise HTTPException(422, printable(f"{where}: {first['msg'].removeprefix('Value error, ')}")[:300]) from error


def request_of(form: Form, options: Options, *, verify: bool) -> dict[str, Any]:
    """A conversion as plain data: the names of the files in its folder, hashes and options.

    Nothing of it tells one job of another: the results of equal requests are shared. A module that looks for a sidecar
    must know the sidecar's name, so there the client's name of the model is part of the request.
    """
    model, weights = form.files["model"], form.files.get("weights")
    name = options.name
    if not name and options.store == "sidecar":
        name = module_name(model.name).removesuffix(".py")
    settings = options.model_dump(exclude={"name"})
    return {
        "model": model.path.name,
        "sha256": model.sha256,
        "size": model.size,
        "weights": weights and weights.path.name,
        "weights_sha256": weights and weights.sha256,
        "name": name or NEUTRAL,
        "options": settings if settings.pop("gradients") is False else {**settings, "gradients": True},
        "verify": verify,
        "kerasgen": kerasgen.__version__,
    }


def key_of(request: dict[str, Any]) -> str:
    """The same for requests whose results are the same."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def shown_name(file: str, request: Any, job: str) -> str:
    """What a job's client sees instead of a neutral name of a module: one made from the name of its model."""
    return module_name(job) if file == f"{NEUTRAL}.py" and request["name"] == NEUTRAL else file
