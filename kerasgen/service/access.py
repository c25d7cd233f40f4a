"""The token: in a header, or, for a link or a frame of a browser, as a cookie that opens the files of one job."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time

from fastapi import HTTPException, Request, Response
from fastapi.security import HTTPBearer

bearer = HTTPBearer(auto_error=False, description="The token that the server was started with, if it was.")
COOKIE = "kerasgen_files"
COOKIE_SECONDS = 600


class Access:
    """Checks requests against a token; "" lets everybody in."""

    def __init__(self, token: str) -> None:
        self.token = token
        self._key = secrets.token_bytes(32)

    def check(self, request: Request) -> None:
        """HTTPException 401 for a request without the token."""
        if not self._has_token(request):
            raise _unauthorized()

    def check_file(self, request: Request, id: str) -> None:
        """HTTPException 401 for a request with neither the token nor the cookie for the files of this job."""
        if not self._has_token(request) and not self._has_cookie(request, id):
            raise _unauthorized()

    def _has_token(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip().encode() if scheme.lower() == "bearer" else b""
        return not self.token or secrets.compare_digest(given, self.token.encode())

    def _has_cookie(self, request: Request, id: str) -> bool:
        expires, _, signature = request.cookies.get(COOKIE, "").partition(".")
        fresh = expires.isdecimal() and len(expires) < 20 and time.time() < int(expires)
        return fresh and hmac.compare_digest(signature.encode(), self._sign(id, expires).encode())

    def set_cookie(self, response: Response, path: str, id: str) -> None:
        """Let the browser that gets this response open the files of a job, which are below `path`, for a while."""
        if self.token:
            expires = str(int(time.time()) + COOKIE_SECONDS)
            value = f"{expires}.{self._sign(id, expires)}"
            response.set_cookie(COOKIE, value, COOKIE_SECONDS, path=path, httponly=True, samesite="strict")

    def _sign(self, id: str, expires: str) -> str:
        return hmac.new(self._key, f"{id} {expires}".encode(), hashlib.sha256).hexdigest()


def _unauthorized() -> HTTPException:
    return HTTPException(401, "give the server's token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
