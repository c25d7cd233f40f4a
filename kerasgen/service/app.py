"""The application: the routes, and the service behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

import kerasgen
from kerasgen.service import api, pages
from kerasgen.service.access import Access
from kerasgen.service.core import Core


def create_app(core: Core) -> FastAPI:
    """The application without its `Guard`; `core` has the parts that are no HTTP."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        core.start(asyncio.get_running_loop())
        yield
        await asyncio.to_thread(core.stop)

    app = FastAPI(
        title="kerasgen",
        version=kerasgen.__version__,
        description="Turns a trained Keras model into one Python module that needs only NumPy.",
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.core, app.state.access = core, Access(core.settings.token)
    app.include_router(api.router)
    app.include_router(pages.router)

    @app.exception_handler(ClientDisconnect)
    def disconnected(_: Request, __: Exception) -> Response:
        return Response(status_code=400)  # nobody reads it

    @app.exception_handler(Exception)
    def broken(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"detail": "a bug in the service; its log has more"}, 500)

    return app
