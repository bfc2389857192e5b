"""Asks a container how it is: HTTP, TCP or a command of its own."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from scenario_runner.lab.kube import Json
from scenario_runner.lab.kubelet.process import Command, Process


@dataclass(frozen=True)
class Probe:
    """How to ask and when; times in seconds."""

    spec: Json
    delay: float
    period: float
    timeout: float
    successes: int
    failures: int


@dataclass(frozen=True)
class Asked:
    """Who is asked: the pod's address, the container's named ports, and how to run a command in it."""

    address: str
    ports: dict[str, int]
    command: Callable[[list[str]], Command]


def read_probe(spec: Json | None) -> Probe | None:
    if not spec:
        return None
    return Probe(
        spec,
        float(spec.get("initialDelaySeconds") or 0),
        float(spec.get("periodSeconds") or 10),
        float(spec.get("timeoutSeconds") or 1),
        int(spec.get("successThreshold") or 1),
        int(spec.get("failureThreshold") or 3),
    )


async def watch_probe(
    probe: Probe, asked: Asked, tell: Callable[[bool, str], None], until_well: float | None = None
) -> None:
    """
    Tell each time a threshold is passed: (well or not, what was seen last). Runs until cancelled.

    As long as the container is not well it is asked every `until_well` seconds, if that is given and shorter.
    """
    hurried = probe.period if until_well is None else min(probe.period, until_well)
    await asyncio.sleep(probe.delay)
    streak, was_well = 0, None
    while True:
        trouble = await ask_once(probe, asked)
        is_well = trouble is None
        streak = streak + 1 if is_well == was_well else 1
        was_well = is_well
        if streak == (probe.successes if is_well else probe.failures):
            tell(is_well, trouble or "")
        await asyncio.sleep(probe.period if is_well else hurried)


async def ask_once(probe: Probe, asked: Asked) -> str | None:
    """None if the container is well, otherwise what was seen instead."""
    try:
        async with asyncio.timeout(probe.timeout):
            if "httpGet" in probe.spec:
                return await _http(probe.spec["httpGet"], asked)
            if "tcpSocket" in probe.spec:
                await _tcp(probe.spec["tcpSocket"], asked)
                return None
            return await _command(probe.spec["exec"]["command"], asked)
    except TimeoutError:
        return f"no answer within {probe.timeout:g}s"
    except (OSError, EOFError, ValueError) as error:
        return str(error)


async def _http(get: Json, asked: Asked) -> str | None:
    host, port = get.get("host") or asked.address, _port(get["port"], asked)
    reader, writer = await asyncio.open_connection(host, port)
    try:
        lines = [f"GET {get.get('path') or '/'} HTTP/1.1", f"Host: {host}:{port}", "Connection: close"]
        lines += [f"{one['name']}: {one['value']}" for one in get.get("httpHeaders") or []]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        status = int((await reader.readuntil(b"\r\n")).split()[1])
    except IndexError as error:
        raise ValueError("the answer is not HTTP") from error
    finally:
        writer.close()
    return None if HTTPStatus.OK <= status < HTTPStatus.BAD_REQUEST else f"HTTP probe failed with statuscode: {status}"


async def _tcp(spec: Json, asked: Asked) -> None:
    _, writer = await asyncio.open_connection(spec.get("host") or asked.address, _port(spec["port"], asked))
    writer.close()


async def _command(argv: list[str], asked: Asked) -> str | None:
    process = Process(asked.command(argv))
    try:
        code = await process.wait()
    finally:
        process.signal(signal.SIGKILL)
    return None if code == 0 else f"the command ended with code {code}"


def _port(port: int | str, asked: Asked) -> int:
    if isinstance(port, int) or port.isdigit():
        return int(port)
    if port not in asked.ports:
        raise ValueError(f"the container has no port named {port}")
    return asked.ports[port]


def output_of_probes(log: Path) -> Path:
    """Probes must not write into the container's log."""
    return log.with_name("probes.out")
