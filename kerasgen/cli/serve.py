"""`kerasgen serve`."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Annotated, Any

import typer

import kerasgen
from kerasgen.cli.app import Settings, app
from kerasgen.names import printable

PACKAGES = ("fastapi", "uvicorn", "python_multipart")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is any free one.")] = 8000,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Where jobs and their files are kept.")] = Path(
        "kerasgen-data"
    ),
    jobs: Annotated[int, typer.Option(min=1, help="Models to convert at once.")] = 2,
    queue: Annotated[int, typer.Option(min=1, help="Models that may wait.")] = 100,
    max_upload: Annotated[str, typer.Option(metavar="SIZE", help="The largest upload.")] = "500MB",
    memory: Annotated[str, typer.Option(metavar="SIZE", help="What a job may take; 0 is no limit.")] = "4GB",
    timeout: Annotated[str, typer.Option(metavar="TIME", help="How long a job may take; 0 is no limit.")] = "10m",
    keep: Annotated[str, typer.Option(metavar="TIME", help="How long results are kept.")] = "24h",
    token: Annotated[
        str,
        typer.Option(envvar="KERASGEN_TOKEN", help="What clients must know. [default: nothing]", show_default=False),
    ] = "",
    verify: Annotated[bool, typer.Option("--verify", help="Compare modules with Keras.")] = False,
    scheduler: Annotated[
        str, typer.Option(metavar="ADDRESS", help="A Dask scheduler whose workers convert.", show_default=False)
    ] = "",
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A name under which clients reach this server; may be given several times.",
            show_default=False,
        ),
    ] = None,
    grace: Annotated[str, typer.Option(metavar="TIME", help="For running jobs when the server is stopped.")] = "8s",
    stall: Annotated[str, typer.Option(metavar="TIME", help="How long a client may stand still.")] = "30s",
) -> None:
    """Convert models over HTTP, with a page for browsers."""
    from kerasgen.config import size_in_bytes

    options: dict[str, Any] = {
        "max_upload": size_in_bytes(max_upload, "--max-upload"),
        "memory": size_in_bytes(memory, "--memory") or None,
        "timeout": _seconds(timeout, "--timeout") or None,
        "keep": _seconds(keep, "--keep"),
        "grace": _seconds(grace, "--grace"),
        "stall": _seconds(stall, "--stall"),
    }
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise kerasgen.UsageError(
                f"serve needs {package}, which is not installed: pip install 'kerasgen-numpy[serve]'"
            )
    from kerasgen.service import settings
    from kerasgen.service.server import serve

    serve(
        settings.Settings(
            data.absolute(),
            host,
            port,
            jobs,
            queue,
            token=token,
            verify=verify,
            scheduler=scheduler,
            allowed_hosts=tuple(allowed_host or ()),
            **options,
        ),
        quiet=Settings.quiet,
    )


def _seconds(text: str, option: str) -> float:
    """Seconds, of a time such as 24h."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([smhd]?)", text)
    if found is None:
        raise kerasgen.UsageError(f"{option} is a time as 24h, not {printable(text)}")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]
