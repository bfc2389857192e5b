"""When the pods of a workload are all of its current template."""

import pytest

from scenario_runner.core.ports import Document, ObjectRef
from scenario_runner.core.rollouts import unfinished


def document(kind, spec, status, generation=2):
    content = {"metadata": {"generation": generation}, "spec": spec, "status": status}
    return Document(ObjectRef("x/v1", kind, "dynamo", "w", "u"), "1", content)


UPDATING = {"conditions": [{"type": "UpdateInProgress", "status": "True"}]}
BY_HAND = {"updateStrategy": {"type": "OnDelete"}, "replicas": 2}


@pytest.mark.parametrize(
    ("kind", "spec", "status", "lacks"),
    [
        ("Deployment", {"replicas": 2}, {"observedGeneration": 1}, "its controller has not seen the change yet"),
        ("Deployment", {"replicas": 2}, {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2}, ""),
        ("Deployment", {"replicas": 2}, {"replicas": 3, "updatedReplicas": 1},
         "2 pods of the old template are still there"),
        ("Deployment", {}, {"replicas": 0}, "0 of 1 pods are of the new template"),
        ("Deployment", {"replicas": 0}, {"observedGeneration": 2}, ""),
        ("StatefulSet", {"replicas": 2}, {"currentRevision": "a", "updateRevision": "a"}, ""),
        ("StatefulSet", {"replicas": 2}, {"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1},
         "1 of 2 pods are of the new template"),
        ("StatefulSet", BY_HAND, {"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1},
         "1 of 2 pods are of the new template, and the others stay until somebody deletes them (OnDelete)"),
        ("DaemonSet", {}, {"updatedNumberScheduled": 1, "desiredNumberScheduled": 3},
         "1 of 3 pods are of the new template"),
        ("DaemonSet", BY_HAND, {"updatedNumberScheduled": 3, "desiredNumberScheduled": 3}, ""),
        ("LeaderWorkerSet", {"replicas": 2}, {**UPDATING, "updatedReplicas": 2}, "its update is in progress"),
        ("LeaderWorkerSet", {"replicas": 2}, {"updatedReplicas": 1}, "1 of 2 groups are of the new template"),
        ("LeaderWorkerSet", {"replicas": 2}, {"updatedReplicas": 2}, ""),
        ("DynamoGraphDeployment", {}, {"conditions": [{"type": "Ready", "status": "False"}]}, "it is not ready"),
        ("DynamoGraphDeployment", {}, {"conditions": [{"type": "Ready", "status": "True"}]}, ""),
        ("DynamoGraphDeployment", {}, {"rollingUpdate": {"phase": "InProgress"}}, "its rolling update is in progress"),
        ("DynamoGraphDeployment", {}, {"rollingUpdate": {"phase": "Completed"}}, ""),
        ("Deployment", {"replicas": 2}, {}, ""),
        ("ConfigMap", {}, {"observedGeneration": 1}, ""),
    ],
)  # fmt: skip
def test_a_rollout_says_what_it_lacks(kind, spec, status, lacks):
    assert unfinished(document(kind, spec, status)) == lacks
