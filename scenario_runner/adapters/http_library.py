"""The one door to httpx, without its command line: that would load rich and pygments, 7 MB and 0.1 s for nobody."""

import sys

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # httpx goes on without what can not be imported

import httpx  # noqa: E402 - only from here on

__all__ = ["httpx"]
