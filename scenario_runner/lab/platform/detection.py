"""Finds health events in journal entries by the platform's published patterns."""

import re
from dataclasses import dataclass, replace

from scenario_runner.lab.platform.health import GPU_UUID, NO_FAILURES, Entity, HealthEvent
from scenario_runner.lab.platform.inventory import Gpu, normal_pci
from scenario_runner.lab.platform.journal import JournalEntry
from scenario_runner.lab.platform.xids import RECOVERY_ACTION_XID, Action, recommended_action

RESET_IDENTIFIER = "nvsentinel-gpu-reset"

_XID = re.compile(
    r"NVRM: Xid \(PCI:([0-9a-fA-F:.]+)\): (\d+)(?:, pid=(\d+))?(?:, name=([^,]+))?(?:, Ch ([0-9a-fA-F]+))?"
)
_NVLINK = re.compile(r"link\s+(\d+)\((0x[0-9a-fA-F]+(?:,\s*0x[0-9a-fA-F]+){6})")
_SM = re.compile(r"\(GPC\s+(\d+),\s*TPC\s+(\d+),\s*SM\s+(\d+)\)")
_RESET = re.compile(r"GPU reset executed: (GPU-[0-9a-fA-F-]+), success: (true|false)")


@dataclass(frozen=True)
class Detector:
    """Reads the journal of one node; lines about GPUs that are not in `gpus` belong to somebody else."""

    node: str
    gpus: tuple[Gpu, ...]

    def event(self, entry: JournalEntry, event_id: str, at: str) -> HealthEvent | None:
        """The event that the entry reports, if it reports one."""
        if entry.identifier == RESET_IDENTIFIER:
            return self._reset(entry.message, HealthEvent(event_id, self.node, at))
        return self._xid(entry.message, HealthEvent(event_id, self.node, at))

    def _xid(self, message: str, blank: HealthEvent) -> HealthEvent | None:
        match = _XID.search(message)
        gpu = None if match is None else self._at(normal_pci(match.group(1)))
        if match is None or gpu is None:
            return None
        xid = int(match.group(2))
        action = recommended_action(xid, message)
        if xid == RECOVERY_ACTION_XID and action is Action.NONE:
            return replace(blank, healthy=True, message=NO_FAILURES, entities=_entities(gpu))
        entities = (*_entities(gpu), *_details(xid, message))
        return replace(blank, code=str(xid), action=action, message=message, entities=entities)

    def _reset(self, message: str, blank: HealthEvent) -> HealthEvent | None:
        match = _RESET.search(message)
        gpu = None if match is None else next((gpu for gpu in self.gpus if gpu.uuid == match.group(1)), None)
        if match is None or gpu is None:
            return None
        if match.group(2) == "true":
            return replace(blank, healthy=True, message=NO_FAILURES, entities=_entities(gpu))
        return replace(
            blank, code="GPU_RESET_FAILURE", action=Action.RESTART_VM, message=message, entities=_entities(gpu)
        )

    def _at(self, pci: str) -> Gpu | None:
        return next((gpu for gpu in self.gpus if gpu.pci == pci), None)


def _entities(gpu: Gpu) -> tuple[Entity, ...]:
    return (Entity("PCI", gpu.pci), Entity(GPU_UUID, gpu.uuid))


def _details(xid: int, message: str) -> tuple[Entity, ...]:
    if xid == 74 and (link := _NVLINK.search(message)):  # noqa: PLR2004 - NVLink
        registers = [f"{int(word, 16):032b}" for word in link.group(2).replace(",", " ").split()]
        return (Entity("NVLINK", link.group(1)), *(Entity(f"REG{n}", bits) for n, bits in enumerate(registers)))
    if xid == 13 and (sm := _SM.search(message)):  # noqa: PLR2004 - graphics engine exception
        return tuple(Entity(kind, number) for kind, number in zip(("GPC", "TPC", "SM"), sm.groups(), strict=True))
    return ()
