"""Random calls, made of fragments that are worth trying: right ones, odd ones and wrong ones."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from tests.contract.kubernetes.patching import deep
from tests.contract.kubernetes.server import Json, api_version

_CONTAINER = {"name": "main", "image": "i"}
_TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [_CONTAINER]}}
_SELECTOR = {"matchLabels": {"app": "x"}}
META: list[Json] = [
    {"labels": {"app": "x"}},
    {"labels": {"app": "y", "tier": ""}},
    {"labels": {"app": "not a value"}},
    {"labels": {"-bad": "x"}},
    {"labels": {}},
    {"labels": None},
    {"labels": {"app": None}},
    {"labels": {"app": 1}},
    {"annotations": {"a": "b"}},
    {"annotations": {"a": ""}},
    {"annotations": {"bad key": "b"}},
    {"finalizers": ["example.com/f"]},
    {"finalizers": ["example.com/f", "example.com/g"]},
    {"finalizers": ["plain"]},
    {"finalizers": []},
    {"finalizers": None},
    {"uid": "{uid}"},
    {"uid": "00000000-0000-0000-0000-000000000000"},
    {"resourceVersion": "{version}"},
    {"resourceVersion": "1"},
    {"generation": 7},
    {"creationTimestamp": None},
    {"deletionGracePeriodSeconds": 3},
    {"odd": "field"},
]
FRAGMENTS: Mapping[str, list[Json]] = {
    "ConfigMap": [
        {"data": {"a": "1"}},
        {"data": {"a": "2", "b": ""}},
        {"data": {"a": None}},
        {"data": {"a": 1}},
        {"data": {"bad/key": "1"}},
        {"data": {}},
        {"data": None},
        {"binaryData": {"c": "AAEC"}},
        {"binaryData": {"c": "not base64!"}},
        {"binaryData": {"a": "AAEC"}},
        {"immutable": True},
        {"immutable": False},
        {"immutable": None},
        {"odd": {"field": 1}},
    ],
    "Secret": [
        {"data": {"a": "AAEC"}},
        {"data": {"a": "not base64!"}},
        {"stringData": {"a": "text"}},
        {"stringData": {"b": ""}},
        {"type": "Opaque"},
        {"type": "example.com/mine"},
        {"immutable": True},
    ],
    "Pod": [
        {"spec": {"restartPolicy": "Never"}},
        {"spec": {"restartPolicy": "Sometimes"}},
        {"spec": {"nodeName": "nowhere"}},
        {"spec": {"terminationGracePeriodSeconds": 0}},
        {"spec": {"terminationGracePeriodSeconds": 5}},
        {"spec": {"activeDeadlineSeconds": 9}},
        {"spec": {"activeDeadlineSeconds": 0}},
        {"spec": {"containers": []}},
        {"spec": {"containers": [{"name": "main", "image": "other:2"}]}},
        {"spec": {"containers": [{"name": "main"}]}},
        {"spec": {"containers": [{"name": "Main", "image": "i"}]}},
        {"spec": {"containers": [_CONTAINER, _CONTAINER]}},
        {"spec": {"containers": [_CONTAINER | {"env": [{"name": "A", "value": ""}, {"name": "A", "value": "2"}]}]}},
        {
            "spec": {
                "containers": [_CONTAINER | {"env": [{"name": "P", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]}]
            }
        },
        {"spec": {"containers": [_CONTAINER | {"resources": {"limits": {"cpu": "1", "memory": "64Mi"}}}]}},
        {"spec": {"containers": [_CONTAINER | {"resources": {"requests": {"nvidia.com/gpu": 1}}}]}},
        {"spec": {"containers": [_CONTAINER | {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}]}},
        {"spec": {"containers": [_CONTAINER | {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}},
        {"spec": {"containers": [_CONTAINER | {"ports": [{"containerPort": 80}]}]}},
        {"spec": {"containers": [_CONTAINER | {"ports": [{"containerPort": 0}]}]}},
        {"spec": {"containers": [_CONTAINER | {"readinessProbe": {"httpGet": {"port": 80}}}]}},
        {"spec": {"containers": [_CONTAINER | {"livenessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 2}}]}},
        {"spec": {"containers": [_CONTAINER | {"imagePullPolicy": "Maybe"}]}},
        {"spec": {"initContainers": [{"name": "first", "image": "i"}]}},
        {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}},
        {"spec": {"volumes": [{"name": "v", "configMap": {"name": "c"}}]}},
        {"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/tmp"}}]}},
        {"spec": {"volumes": [{"name": "v"}]}},
        {"spec": {"tolerations": [{"key": "k", "operator": "Exists"}]}},
        {"spec": {"tolerations": [{"operator": "Exists"}]}},
        {"spec": {"tolerations": [{"key": "k", "operator": "Equals"}]}},
        {"spec": {"nodeSelector": {"a": "b"}}},
        {"spec": {"nodeSelector": {}}},
        {"spec": {"hostNetwork": True}},
        {"spec": {"serviceAccountName": "default"}},
        {"spec": {"hostPID": False}},
        {"status": {"phase": "Running"}},
    ],
    "Deployment": [
        {"spec": {"replicas": 0}},
        {"spec": {"replicas": -1}},
        {"spec": {"replicas": "none"}},
        {"spec": {"paused": True}},
        {"spec": {"paused": False}},
        {"spec": {"minReadySeconds": 3}},
        {"spec": {"minReadySeconds": -1}},
        {"spec": {"progressDeadlineSeconds": 5}},
        {"spec": {"minReadySeconds": 9, "progressDeadlineSeconds": 5}},
        {"spec": {"revisionHistoryLimit": 0}},
        {"spec": {"strategy": {"type": "Recreate"}}},
        {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}},
        {"spec": {"strategy": {"type": "Sideways"}}},
        {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}},
        {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}}},
        {"spec": {"strategy": {"rollingUpdate": {"maxSurge": "50%", "maxUnavailable": "150%"}}}},
        {"spec": {"strategy": {"rollingUpdate": {"maxSurge": "some"}}}},
        {"spec": {"selector": {"matchLabels": {"app": "y"}}}},
        {"spec": {"selector": None}},
        {"spec": {"template": {"metadata": {"labels": {"app": "y"}}}}},
        {"spec": {"template": {"metadata": {"annotations": {"when": "now"}}}}},
        {"spec": {"template": {"spec": {"restartPolicy": "Never"}}}},
        {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}},
        {"spec": {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]}}}},
        {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s"}]}}}},
        {"spec": {"template": {"spec": {"containers": [{"name": "main", "$patch": "delete"}]}}}},
        {"spec": {"template": {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}}},
        {"spec": {"template": {"spec": {"activeDeadlineSeconds": 9}}}},
    ],
    "PodDisruptionBudget": [
        {"spec": {"minAvailable": 1}},
        {"spec": {"minAvailable": "50%"}},
        {"spec": {"minAvailable": -1}},
        {"spec": {"minAvailable": "some"}},
        {"spec": {"minAvailable": "150%"}},
        {"spec": {"maxUnavailable": 1}},
        {"spec": {"selector": {"matchLabels": {"app": "y"}}}},
        {"spec": {"selector": {}}},
        {"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}},
        {"spec": {"unhealthyPodEvictionPolicy": "Sometimes"}},
    ],
    "Service": [
        {"spec": {"ports": [{"port": 80}]}},
        {"spec": {"ports": [{"port": 80, "targetPort": "http"}]}},
        {"spec": {"ports": [{"port": 0}]}},
        {"spec": {"ports": [{"port": 80}, {"port": 81}]}},
        {"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b", "protocol": "UDP"}]}},
        {"spec": {"ports": []}},
        {"spec": {"type": "Sideways"}},
        {"spec": {"selector": {"app": "y"}}},
        {"spec": {"selector": {}}},
        {"spec": {"sessionAffinity": "ClientIP"}},
        {"spec": {"publishNotReadyAddresses": True}},
    ],
    "Lease": [
        {"spec": {"holderIdentity": "me"}},
        {"spec": {"holderIdentity": ""}},
        {"spec": {"leaseDurationSeconds": 15}},
        {"spec": {"leaseDurationSeconds": 0}},
        {"spec": {"leaseTransitions": -1}},
        {"spec": {"renewTime": "2026-11-25T10:00:00.000000Z"}},
        {"spec": {"renewTime": "yesterday"}},
    ],
}
ROOTS: Mapping[str, Json] = {
    "Pod": {"spec": {"containers": [_CONTAINER], "schedulerName": "nobody", "automountServiceAccountToken": False}},
    "Deployment": {"spec": {"replicas": 0, "selector": _SELECTOR, "template": _TEMPLATE}},
    "PodDisruptionBudget": {"spec": {"selector": _SELECTOR}},
    "Service": {"spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]}},
}
_NAMES = ["a", "b"]
DELETIONS: list[Any] = [
    None,
    {"gracePeriodSeconds": 0},
    {"gracePeriodSeconds": 9},
    {"gracePeriodSeconds": -1},
    {"propagationPolicy": "Background"},
    {"propagationPolicy": "Sideways"},
    {"preconditions": {"uid": "{uid}"}},
    {"preconditions": {"uid": "other"}},
    {"preconditions": {"resourceVersion": "{version}"}},
    {"preconditions": {"resourceVersion": "1"}},
    {"dryRun": ["All"]},
    {"dryRun": ["Some"]},
]
OPERATIONS: list[Json] = [
    {"op": "test", "path": "/metadata/name", "value": "a"},
    {"op": "test", "path": "/data/a", "value": "1"},
    {"op": "add", "path": "/data/a", "value": "json"},
    {"op": "replace", "path": "/data/a", "value": "json"},
    {"op": "remove", "path": "/data/a"},
    {"op": "remove", "path": "/data"},
    {"op": "add", "path": "/metadata/labels", "value": {"app": "json"}},
    {"op": "add", "path": "/metadata/labels/app", "value": "json"},
    {"op": "remove", "path": "/metadata/finalizers"},
    {"op": "copy", "from": "/metadata/name", "path": "/metadata/labels/app"},
    {"op": "sideways", "path": "/data"},
    {"op": "add", "path": "data", "value": {}},
    {"op": "replace", "path": "/spec/replicas", "value": 0},
    {"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "json", "image": "i"}},
    {"op": "remove", "path": "/spec/template/spec/containers/0"},
    {"op": "replace", "path": "/spec/containers/0/image", "value": "json:1"},
]
QUERIES: list[Json] = [{}, {}, {}, {"dryRun": "All"}, {"fieldValidation": "Strict"}, {"dryRun": "Some"}]
SELECTIONS: list[Json] = [
    {},
    {"labelSelector": "app=x"},
    {"labelSelector": "app!=x"},
    {"labelSelector": "app in (x,y),!tier"},
    {"labelSelector": "app in x"},
    {"fieldSelector": "metadata.name=a"},
    {"fieldSelector": "status.phase=Pending"},
    {"limit": 1},
]


@st.composite
def bodies(draw: st.DrawFn, kind: str) -> Json:
    """What a client may send about an object of a kind, the kind itself left out."""
    body: Json = {}
    for fragment in draw(st.lists(st.sampled_from(FRAGMENTS[kind]), max_size=2)):
        body = deep(body, fragment)
    for meta in draw(st.lists(st.sampled_from(META), max_size=1)):
        body = deep(body, {"metadata": meta})
    return body


@st.composite
def calls(draw: st.DrawFn) -> Json:
    """One call, as `play` takes it."""
    kind = draw(st.sampled_from(sorted(FRAGMENTS)))
    name = draw(st.sampled_from(_NAMES))
    do = draw(st.sampled_from(["create", "create", "replace", "merge", "strategic", "json", "delete", "list"]))
    call: Json = {"do": do, "kind": kind}
    if do == "list":
        return call | {"query": draw(st.sampled_from(SELECTIONS))}
    call |= {"name": name, "query": draw(st.sampled_from(QUERIES))}
    if do == "json":
        return call | {"body": draw(st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=2))}
    if do == "delete":
        return call | {"body": draw(st.sampled_from(DELETIONS))}
    body = draw(bodies(kind))
    if do in {"create", "replace"}:
        whole = {"apiVersion": api_version(kind), "kind": kind, "metadata": {"name": name}}
        body = deep(deep(whole, ROOTS.get(kind, {})), body)
    return call | {"body": body}
