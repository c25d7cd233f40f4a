"""The routes below /api/jobs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from kerasgen.service import requests, views
from kerasgen.service.access import Access, bearer
from kerasgen.service.core import Core
from kerasgen.service.store import ENDED, JobRow
from kerasgen.service.upload import check_length, receive
from kerasgen.service.views import JobView, Problem

KEEP_ALIVE = 15.0  # seconds between comments in a stream of events in which nothing happens
LISTED = 100  # jobs
# The report allows its own script and style by hash; nothing of it has an origin, so that it cannot ask this server.
REPORT = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
TYPES = {".py": "text/x-python; charset=utf-8", ".json": "application/json", ".html": "text/html; charset=utf-8"}
ID = re.compile(r"[A-Za-z0-9_-]{22}")
_BINARY = {"type": "string", "format": "binary"}
FORM = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["model"],
                "properties": {
                    "model": {**_BINARY, "description": "a .keras or .h5 file, or the architecture as JSON"},
                    "weights": {**_BINARY, "description": "the weights, if the model is an architecture"},
                    "options": requests.Options.model_json_schema(),
                },
            },
            "encoding": {"options": {"contentType": "application/json"}},
        }
    },
}
_PROBLEMS = {
    400: "The form is damaged.",
    401: "The server has a token, and the request has not.",
    403: "The request comes from a page of another site.",
    404: "There is no such job, or it has no such file.",
    408: "The upload is too slow.",
    413: "The upload is too large.",
    415: "The request is no form.",
    421: "The Host header is not one of this server.",
    422: "A field or an option is wrong.",
    429: "The queue is full: try again after the seconds of Retry-After.",
    507: "The disk is full.",
}


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Errors that a route may answer with, for the description of the API."""
    return {code: {"model": Problem, "description": _PROBLEMS[code]} for code in (*codes, 421)}


def core_of(request: Request) -> Core:
    """The service that a request is for."""
    core: Core = request.app.state.core
    return core


def access_of(request: Request) -> Access:
    """What checks the token."""
    access: Access = request.app.state.access
    return access


def require_token(request: Request) -> None:
    """HTTPException 401 for a request without the token."""
    access_of(request).check(request)


def _valid_id(id: str) -> str:
    """The id in the path, if an id can look like that."""
    if not ID.fullmatch(id):
        raise _missing()
    return id


Service = Annotated[Core, Depends(core_of)]
Id = Annotated[str, Depends(_valid_id)]
TOKEN = [Depends(require_token)]
router = APIRouter(prefix="/api/jobs", tags=["jobs"], dependencies=[Depends(bearer)])


@router.post(
    "",
    status_code=202,
    dependencies=TOKEN,
    openapi_extra={"requestBody": FORM},
    responses=problems(400, 401, 403, 408, 413, 415, 422, 429, 507),
)
async def submit(core: Service, request: Request, response: Response) -> JobView:
    """Upload a model, to be converted as soon as its turn comes."""
    check_length(request, core.settings)
    async with core.uploading() as folder:
        form = await receive(request, folder, core.settings)
        options = requests.parse_options(form.texts.get("options", ""))
        row = await asyncio.to_thread(core.accept, folder, form, options)
    response.headers["Location"] = f"{request.scope['root_path']}/api/jobs/{row.id}"
    _set_cookie(request, response, row.id)
    return _show(core, row)


@router.get("", dependencies=TOKEN, responses=problems(401))
def list_jobs(core: Service, limit: Annotated[int, Query(ge=1, le=LISTED)] = LISTED) -> list[JobView]:
    """The jobs that were submitted last, newest first."""
    return [_show(core, row) for row in core.store.newest(limit)]


@router.get("/{id}", dependencies=TOKEN, responses=problems(401, 404))
def get_job(core: Service, id: Id, request: Request, response: Response) -> JobView:
    """A job. If the server has a token, the answer's cookie opens the job's files for ten minutes."""
    row = _find(core, id)
    _set_cookie(request, response, id)
    return _show(core, row)


@router.get(
    "/{id}/events",
    dependencies=TOKEN,
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Events named `state`; the data of each is the job. The stream ends when the job does.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "The job has ended, and the client has seen that."},
        **problems(401, 404),
    },
)
async def follow(
    core: Service, id: Id, request: Request, last_event_id: Annotated[str, Header(max_length=100)] = ""
) -> Response:
    """Follow a job. `Last-Event-ID` goes on where an earlier stream was cut off."""
    row = await asyncio.to_thread(_find, core, id)
    if row.state in ENDED and last_event_id == "end":
        return Response(status_code=204)
    response = StreamingResponse(_events(core, row, last_event_id), media_type="text/event-stream")
    _set_cookie(request, response, id)
    return response


async def _events(core: Core, row: JobRow, last: str) -> AsyncIterator[str]:
    feed = core.hub.feed(row.conversion)
    now = await asyncio.to_thread(core.store.job, row.id)  # it may have ended before there was a feed
    if now is None or now.state in ENDED:
        core.hub.end(row.conversion)
    else:
        async for snapshot in feed.follow(last, KEEP_ALIVE):
            comment = ": still there\n\n"
            yield comment if snapshot is None else _event(snapshot.id, views.view(now, snapshot, core.work))
        now = await asyncio.to_thread(core.store.job, row.id)
    if now is not None and now.state in ENDED:  # otherwise it was deleted, or the server stops
        yield _event("end", await asyncio.to_thread(_show, core, now))


@router.get(
    "/{id}/files/{name}",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {"schema": _BINARY}}}, **problems(401, 404)},
)
def get_file(core: Service, id: Id, name: str, request: Request) -> FileResponse:
    """A result: a module, its weights, report.html, summary.json, or reproduction.zip of an error."""
    access_of(request).check_file(request, id)
    path = views.files(_find(core, id), core.work).get(name)  # names are looked up, never joined to a path
    if path is None:
        raise HTTPException(404, "the job has no such file")
    media = TYPES.get(path.suffix, "application/octet-stream")
    if path.suffix == ".html":
        return FileResponse(path, media_type=media, headers={"Content-Security-Policy": REPORT})
    return FileResponse(path, media_type=media, filename=name)


@router.delete("/{id}", status_code=204, dependencies=TOKEN, responses=problems(401, 403, 404))
def delete_job(core: Service, id: Id) -> None:
    """Delete a job, and its files unless another job shares them. A running one is killed."""
    if not core.delete(id):
        raise _missing()


def _find(core: Core, id: str) -> JobRow:
    row = core.store.job(id)
    if row is None:
        raise _missing()
    return row


def _show(core: Core, row: JobRow) -> JobView:
    return views.view(row, core.hub.latest(row.conversion), core.work)


def _missing() -> HTTPException:
    return HTTPException(404, "there is no such job: it was deleted, or its time is over")


def _set_cookie(request: Request, response: Response, id: str) -> None:
    access_of(request).set_cookie(response, f"{request.scope['root_path']}/api/jobs/{id}/files", id)


def _event(id: str, job: JobView) -> str:
    return f"event: state\nid: {id}\ndata: {job.model_dump_json()}\n\n"
