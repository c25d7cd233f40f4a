"""The page, and what an operator asks."""

from __future__ import annotations

import hashlib
import mimetypes
import re
import sqlite3
from pathlib import Path

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse

import kerasgen
from kerasgen.emit.templates import TEMPLATES
from kerasgen.service.access import bearer
from kerasgen.service.api import TOKEN, Service, problems
from kerasgen.service.metrics import MEDIA_TYPE
from kerasgen.service.views import Health

THEME = "theme.css"  # of the report, too
ASSET = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
router = APIRouter()


@router.get(
    "/health",
    tags=["operation"],
    responses={503: {"model": Health, "description": "The database does not answer."}, **problems()},
)
def health(core: Service, response: Response) -> Health:
    """Whether the server works, and how much it has to do."""
    try:
        counts = core.store.counts()
    except sqlite3.Error:
        response.status_code = 503
        return Health(status="broken", version=kerasgen.__version__, queued=0, running=0)
    queued, running = counts.get("queued", 0), counts.get("running", 0)
    return Health(status="ok", version=kerasgen.__version__, queued=queued, running=running)


@router.get(
    "/metrics",
    tags=["operation"],
    dependencies=[Depends(bearer), *TOKEN],
    response_class=PlainTextResponse,
    responses=problems(401),
)
def metrics(core: Service) -> PlainTextResponse:
    """Counters for Prometheus."""
    return PlainTextResponse(core.metrics.text(core.store.counts(), core.uploads), media_type=MEDIA_TYPE)


@router.get("/", include_in_schema=False)
def page() -> FileResponse:
    """The page for browsers."""
    return FileResponse(_asset("index.html"))


@router.get("/assets/{name}", include_in_schema=False)
def asset(name: str, request: Request) -> Response:
    """A file of the page. Browsers ask whether it has changed."""
    path = _asset(name)
    tag = f'"{hashlib.sha256(path.read_bytes()).hexdigest()[:32]}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return FileResponse(path, media_type=mimetypes.guess_type(name)[0], headers=headers)


def _asset(name: str) -> Path:
    """A file of the page. HTTPException 404 for anything else."""
    home = "" if name == THEME else "service"
    for path in (folder / home / name for folder in TEMPLATES):
        if ASSET.fullmatch(name) and path.is_file():
            return path
    raise HTTPException(404, "there is no such page")
