"""Label and field selectors, as predicates over objects."""

import re
from collections.abc import Callable

from scenario_runner.lab.apiserver.failures import bad_request
from scenario_runner.lab.apiserver.objects import Json, dig, labels_of

Predicate = Callable[[Json], bool]

_REQUIREMENT = re.compile(
    r"\s*(?P<absent>!)?\s*(?P<name>[\w./-]+)\s*"
    r"(?:(?P<within>in|notin)\s*\((?P<values>[^()]*)\)|(?P<sign>==?|!=|>|<)\s*(?P<value>[\w.-]*))?\s*(?:,(?=.)|$)"
)
_OPERATORS = {"=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt"}
_EQUALITY = re.compile(r"^\s*([^=!\s]+)\s*(!=|==|=)\s*(.*?)\s*$")

_FIELDS: dict[str, frozenset[str]] = {
    "Pod": frozenset(
        f"spec.{name}" for name in ("nodeName", "restartPolicy", "schedulerName", "serviceAccountName", "hostNetwork")
    )
    | {"status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName"},
    "Event": frozenset(
        f"{about}.{name}"
        for about in ("involvedObject", "regarding")
        for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    )
    | {"reason", "type", "source", "reportingComponent", "reportingController"},
    "Node": frozenset({"spec.unschedulable"}),
    "Namespace": frozenset({"status.phase"}),
    "Secret": frozenset({"type"}),
    "ReplicaSet": frozenset({"status.replicas"}),
    "Service": frozenset({"spec.clusterIP", "spec.type"}),
}
_BOOLEANS = frozenset({"spec.unschedulable", "spec.hostNetwork"})
# The other group's names for fields of an Event.
_ALIASES = {"regarding": "involvedObject", "reportingController": "reportingComponent"}


def everything(_obj: Json) -> bool:
    return True


def both(first: Predicate, second: Predicate) -> Predicate:
    return lambda obj: first(obj) and second(obj)


def by_labels(text: str) -> Predicate:
    """Read a label selector as in a URL: `a=b,c!=d,e in (f,g),h,!i,j>1`.

    Raises ApiError (400) where a requirement can not be read.
    """
    tests, at = [], 0
    while at < len(text):
        found = _REQUIREMENT.match(text, at)
        if found is None:
            raise bad_request(f"unable to parse requirement: found '{text[at:]}'")
        tests.append(_label_test(found))
        at = found.end()
    return lambda obj: all(test(labels_of(obj)) for test in tests)


def _label_test(found: re.Match[str]) -> Callable[[dict[str, str]], bool]:
    if found["within"]:
        return _expression(found["name"], found["within"], {value.strip() for value in found["values"].split(",")})
    if found["sign"]:
        return _expression(found["name"], _OPERATORS[found["sign"]], {found["value"]})
    return _expression(found["name"], "doesnotexist" if found["absent"] else "exists", set())


def _expression(name: str, operator: str, values: set[str]) -> Callable[[dict[str, str]], bool]:
    limit = int(next(iter(values))) if operator in {"gt", "lt"} else 0
    tests: dict[str, Callable[[dict[str, str]], bool]] = {
        "in": lambda labels: name in labels and labels[name] in values,
        "notin": lambda labels: labels.get(name) not in values,
        "gt": lambda labels: labels.get(name, "").isdecimal() and int(labels[name]) > limit,
        "lt": lambda labels: labels.get(name, "").isdecimal() and int(labels[name]) < limit,
        "exists": lambda labels: name in labels,
        "doesnotexist": lambda labels: name not in labels,
    }
    return tests[operator]


def by_selector(selector: Json | None) -> Predicate:
    """Read a LabelSelector object; an absent one matches nothing, an empty one everything."""
    if selector is None:
        return lambda _obj: False
    tests = [_expression(name, "in", {value}) for name, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or []:
        tests.append(_expression(one["key"], one["operator"].lower(), set(one.get("values") or ())))
    return lambda obj: all(test(labels_of(obj)) for test in tests)


def by_fields(text: str, kind: str) -> Predicate:
    """Read a field selector: `spec.nodeName=a,status.phase!=Running`.

    Raises ApiError (400) for a field that the real server does not index either.
    """
    tests = [_field_test(part, kind) for part in text.split(",") if part]
    return lambda obj: all(test(obj) for test in tests)


def _field_test(text: str, kind: str) -> Predicate:
    found = _EQUALITY.match(text)
    if not found:
        raise bad_request(f"invalid field selector: {text}")
    path, negated, wanted = found[1], found[2] == "!=", found[3]
    if path not in {"metadata.name", "metadata.namespace"} and path not in _FIELDS.get(kind, ()):
        raise bad_request(f"field label not supported: {path}")
    head, _, tail = path.partition(".")
    head = _ALIASES.get(head, head) if kind == "Event" else head
    path = f"{head}.{tail}" if tail else head
    absent = "false" if path in _BOOLEANS else ""
    return lambda obj: (_text(dig(obj, path), absent) == wanted) != negated


def _text(value: object, absent: str) -> str:
    if value is None:
        return absent
    return str(value).lower() if isinstance(value, bool) else str(value)
