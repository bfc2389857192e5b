"""What the operating system says about a connection, in words alone."""

import re


def without_number(text: str) -> str:
    """ "Connection refused" of "[Errno 111] Connection refused"."""
    return re.sub(r"\[Errno -?\d+\] ", "", text)
