"""A TCP proxy in front of the server that can cut every connection."""

import asyncio
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Cutter:
    """`url` is the way through it."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._writers: set[asyncio.StreamWriter] = set()
        self._connected = asyncio.Event()
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def before(cls, url: str):
        """Listens on a free port in front of `url`."""
        cutter = cls(url)
        server = await asyncio.start_server(cutter._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        cutter.url = f"http://127.0.0.1:{port}{cutter._target.path}"
        try:
            yield cutter
        finally:
            server.close()
            cutter.cut()

    def cut(self) -> None:
        """Cuts what is connected now; new connections get through."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def connected(self) -> None:
        """The next new connection."""
        await self._connected.wait()

    async def _serve(self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self._connected.set()
        self._connected = asyncio.Event()
        server_reader, server = await asyncio.open_connection(self._target.hostname, self._target.port)
        pair = {client, server}
        self._writers |= pair
        copies = [
            asyncio.ensure_future(self._copy(client_reader, server)),
            asyncio.ensure_future(self._copy(server_reader, client)),
        ]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._writers -= pair
            for copy in copies:
                copy.cancel()
            for writer in pair:
                writer.transport.abort()

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # it was cut
