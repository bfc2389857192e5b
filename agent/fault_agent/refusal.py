"""Everything the agent refuses, as one exception that knows its HTTP status."""


class Refusal(Exception):
    """A request that is not carried out.

    `code` is for programs and never changes, `message` is one sentence for people, `node` says who refused.
    """

    def __init__(self, status: int, code: str, message: str, node: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.node = node


class CannotStart(Exception):
    """The agent can not serve with these options; the message is one sentence, the exit code is 2."""
