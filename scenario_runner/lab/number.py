"""The number of a lab, which makes its addresses and PCI addresses its own on this machine."""

import random
import socket
from dataclasses import dataclass

from scenario_runner.errors import Refused

_NUMBERS = range(2, 251)


@dataclass(frozen=True)
class LabNumber:
    """
    A number that nobody else has while `lock` is open.

    The lock is a name in the kernel's abstract socket space: it is shared by exactly those who share the loopback
    device, and it vanishes with the last process that holds it, however that ends.
    """

    value: int
    lock: socket.socket

    def address(self, network: int, host: int) -> str:
        """Network 0 is the lab's own, 1 and above are the nodes'."""
        return f"127.{self.value}.{network}.{host}"

    @property
    def pci_domain(self) -> str:
        return f"{0x4000 + self.value:04x}"


def draw_number() -> LabNumber:
    """Take a free number, any one: the next lab shall not be mistaken for the last. Raises Refused."""
    numbers = list(_NUMBERS)
    random.shuffle(numbers)
    for value in numbers:
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            lock.bind(f"\0scenario-runner-lab-{value}")
        except OSError:
            lock.close()
            continue
        return LabNumber(value, lock)
    raise Refused(f"All {len(numbers)} lab numbers of this machine are taken: end some labs with `lab down`.")


def free_port(address: str) -> int:
    """A port of one of the lab's own addresses that nothing listens on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((address, 0))
        return int(probe.getsockname()[1])
