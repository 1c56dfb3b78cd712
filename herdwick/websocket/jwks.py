"""The keys of an OpenID Connect provider; imported with the extra `jwt` only."""

from typing import Final

import anyio
from anyio import to_thread
from guardpost.jwks import JWKS, KeysProvider
from guardpost.jwks.openid import read_jwks_from_authority

FETCH_TIMEOUT: Final = 10.0
"""Seconds that a provider may take to send its keys."""


class AuthorityKeys(KeysProvider):
    """Fetches the keys in a thread; guardpost's own way works on asyncio alone."""

    def __init__(self, authority: str) -> None:
        super().__init__()
        self._authority = authority

    async def get_keys(self) -> JWKS:
        """Fetch the keys. Cancelling it leaves the thread to itself.

        Raises:
            TimeoutError: The provider took longer than `FETCH_TIMEOUT`.
        """
        with anyio.fail_after(FETCH_TIMEOUT):
            return await to_thread.run_sync(
                read_jwks_from_authority, self._authority, abandon_on_cancel=True
            )
