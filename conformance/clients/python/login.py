"""PyPI `mcp` logs in to a server of ours that is locked, at an authorization server of others.

usage: login.py legacy|auto|modern URL ISSUER

URL is the locked server and ISSUER the authorization server, whose person (see ../../peers/js/authorization.mjs) opens what
a browser would.
"""

import sys
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from peer import Peer, check, equal, failed, first_of, holds

CALLBACK = "http://127.0.0.1:8915/callback"


class Login:
    """What an application keeps, with a person instead of a browser."""

    def __init__(self, issuer: str, registered: bool = False) -> None:
        self.issuer = issuer
        self.client: OAuthClientInformationFull | None = None
        if registered:
            self.client = OAuthClientInformationFull(
                client_id="application", redirect_uris=[CALLBACK], token_endpoint_auth_method="none", issuer=issuer
            )
        # Tokens that were saved, newest last.
        self.saved: list[OAuthToken] = []
        # Where the person was sent, oldest first.
        self.asked: list[str] = []

    async def get_tokens(self) -> OAuthToken | None:
        return self.saved[-1] if self.saved else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.saved.append(tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info

    async def send(self, address: str) -> None:
        self.asked.append(address)

    async def back(self) -> AuthorizationCodeResult:
        """What the person's browser brings back from where it was sent last."""
        seen = await control(self.issuer, "visit", {"address": self.asked[-1]})
        assert seen.get("outside", "").startswith(CALLBACK), seen
        query = {name: values[0] for name, values in parse_qs(urlsplit(seen["outside"]).query).items()}
        return AuthorizationCodeResult(code=query["code"], state=query["state"], iss=query["iss"])


async def control(issuer: str, name: str, body: dict[str, Any] | None = None) -> Any:
    async with httpx2.AsyncClient() as http:
        response = await http.post(f"{issuer}/control/{name}", json=body or {})
        assert response.status_code == 200, response
        return response.json()


@asynccontextmanager
async def connected(mode: str, url: str, auth: Any):
    async with httpx2.AsyncClient(auth=auth) as http:
        async with Peer().connected(lambda: streamable_http_client(url, http_client=http), mode) as peer:
            yield peer


@asynccontextmanager
async def logged_in(mode: str, url: str, login: Login):
    metadata = OAuthClientMetadata(
        client_name="throughline-clients", redirect_uris=[CALLBACK], token_endpoint_auth_method="none"
    )
    provider = OAuthClientProvider(url, metadata, login, redirect_handler=login.send, callback_handler=login.back)
    async with connected(mode, url, provider) as peer:
        yield peer


async def main() -> int:
    mode, url, issuer = sys.argv[1:]

    async def without_a_login() -> None:
        try:
            async with connected(mode, url, None) as peer:
                await peer.client.list_tools()
        except Exception as error:
            # It does not say why.
            holds(str(first_of(error)), "Server returned an error response")
        else:
            raise AssertionError("it was let in")

    async def log_in() -> None:
        login = Login(issuer)
        async with logged_in(mode, url, login) as peer:
            equal(sorted(tool.name for tool in (await peer.client.list_tools()).tools), ["read", "whoami", "write"])
            equal(len(login.asked), 1)
            holds(login.asked[0], "resource=")
            equal(await control(issuer, "counts"), {"registration": 1, "authorization": 1, "authorization_code": 1})
            equal(await peer.text("whoami", {}), "ada")
            equal(await peer.text("read", {}), "read")
            equal(len(login.asked), 1)

    async def step_up() -> None:
        login = Login(issuer, registered=True)
        async with logged_in(mode, url, login) as peer:
            equal(await peer.text("whoami", {}), "ada")
            equal(await peer.text("write", {}), "written")
            equal(await peer.text("read", {}), "read")
            equal(len(login.asked), 2)
            holds(login.asked[1], "scope=tools%3Aread.*tools%3Awrite")

    async def expired() -> None:
        await control(issuer, "set", {"accessTokenSeconds": 1})
        login = Login(issuer, registered=True)
        async with logged_in(mode, url, login) as peer:
            # Some calls within that second, and one after it.
            while len(login.saved) < 2:
                equal(await peer.text("whoami", {}), "ada")
            equal(len(login.asked), 1)
            assert login.saved[0].refresh_token != login.saved[1].refresh_token
        await control(issuer, "set", {"accessTokenSeconds": 3600})

    async def new_key() -> None:
        equal(len((await control(issuer, "rotate"))["kids"]), 2)
        async with logged_in(mode, url, Login(issuer)) as peer:
            equal(await peer.text("whoami", {}), "ada")

    async def robot() -> None:
        secret = "a secret: of 100 % & a +"
        provider = ClientCredentialsOAuthProvider(url, Login(issuer), "robot-basic", secret, scope="tools:read")
        async with connected(mode, url, provider) as peer:
            equal(await peer.text("whoami", {}), "robot-basic")

    await check("without a login", without_a_login)
    await check("log in and call", log_in)
    await check("a step up", step_up)
    await check("a token that expired", expired)
    await check("a new key", new_key)
    await check("a client of its own right", robot)
    return 1 if failed else 0


sys.exit(anyio.run(main))
