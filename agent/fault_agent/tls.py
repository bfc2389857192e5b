"""Whom the agent trusts when it calls others over TLS."""

import ssl
from pathlib import Path

from fault_agent.refusal import CannotStart


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """A context for clients that trusts `ca_file`, or what the machine trusts; raises OSError (ssl.SSLError is one)."""
    context = ssl.create_default_context(cafile=ca_file)
    # Newer Pythons demand extensions that the authorities of many running clusters do not have.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def checked(option: str, ca_file: Path | None) -> ssl.SSLContext | None:
    """The context of an option that names an authority, None without one; raises CannotStart."""
    if ca_file is None:
        return None
    try:
        return trusting(ca_file)
    except OSError as error:
        raise CannotStart(f"{option} {ca_file} can not be used: {error}.") from error
