"""The cluster's copy of a run: what is written into it, what is read out of it, and which promises are believed."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from scenario_runner.core.claims import RunCopy
from scenario_runner.core.step import Undo
from scenario_runner.engine.records import Promise, Replay, encode, promise_body, replay_lines, sealed, unsealed
from scenario_runner.engine.run_card import RunCard, parse_card
from scenario_runner.errors import Refused, StepBroken

LARGEST = 900 * 1024  # bytes; a ConfigMap may have 1 MiB, names and metadata included


@dataclass(frozen=True)
class ReadCopy:
    """A copy that was understood: how its run is reached, and its promises."""

    card: RunCard
    past: Replay


def card_line(card: RunCard) -> str:
    return sealed(asdict(card)).decode()


def promise_lines(run_id: str, promises: Iterable[Promise]) -> str:
    """
    The open promises as in the journal, of the others only that they are settled.

    Raise StepBroken when that is more than a ConfigMap holds: change nothing then.
    """
    lines = []
    for one in promises:
        if one.open:
            lines.append(encode(run_id, one.seq, "promise", promise_body(one)))
        if one.state != "promise":
            lines.append(encode(run_id, one.seq, one.state, {}))
    text = b"".join(lines)
    if len(text) > LARGEST:
        raise StepBroken(
            f"nothing was changed: the promises of run {run_id} have {len(text) // 1024} KiB, "
            f"and the cluster's copy of them may have {LARGEST // 1024}"
        )
    return text.decode()


def read_copy(copy: RunCopy, undos: Mapping[str, type[Undo]]) -> ReadCopy:
    """Raise Refused when the copy does not say whose it is in a way that can be believed."""
    where = f"the cluster's copy of run {copy.run_id}"
    try:
        content = unsealed(copy.card.encode())
    except ValueError as exc:
        raise Refused(f"{where} cannot be read: of its card {exc}") from None
    card = parse_card(json.dumps(content).encode(), where)
    if card.run_id != copy.run_id:
        raise Refused(f"{where} is not to be believed: it holds the card of run {card.run_id}")
    past = replay_lines(copy.promises.encode(), undos)
    if past.run not in {"", card.run_id}:
        raise Refused(f"{where} is not to be believed: it holds promises of run {past.run}")
    return ReadCopy(card, past)


def is_open(copy: RunCopy, undos: Mapping[str, type[Undo]]) -> bool:
    """Whether something may be left of the run; a copy that nobody can read is open."""
    past = replay_lines(copy.promises.encode(), undos)
    return bool(past.outstanding or past.bad)


def subjects(copy: RunCopy, undos: Mapping[str, type[Undo]]) -> str:
    """What is open, for people."""
    past = replay_lines(copy.promises.encode(), undos)
    return ", ".join([*(promise.subject() for promise in past.outstanding), *past.bad])


def beyond(promise: Promise, card: RunCard) -> str:
    """
    Why a recovery does not carry a promise out that was read: the run's plan does not name what it acts on.

    "" when it does, and for a promise that cannot be carried out anyway.
    """
    if promise.undo is None or card.scope is None:
        return ""
    at = promise.undo.touches()
    refused = f"refused: the plan of run {card.run_id} does not name"
    if at.kind == "Node":
        return "" if at.name in card.targets else f"{refused} node {at.name}"
    if at.namespace not in card.scope.namespaces:
        return f"{refused} namespace {at.namespace}"
    if at.uid and at.uid not in card.scope.uids:
        return f"{refused} {at.kind} {at.namespace}/{at.name} with uid {at.uid}"
    return ""
