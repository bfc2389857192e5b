"""Addresses of the pods of one node."""

_HOSTS = range(10, 251)


class AddressPool:
    """Gives the address that was free for the longest time, so that late clients of a dead pod meet nobody."""

    def __init__(self, prefix: str) -> None:
        self._free = [f"{prefix}.{host}" for host in _HOSTS]

    def take(self) -> str:
        """Raises IndexError when the node is full, which its limit of pods forbids."""
        return self._free.pop(0)

    def give_back(self, address: str) -> None:
        self._free.append(address)
