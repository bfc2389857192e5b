"""Answers questions about access: in the lab everybody may do everything."""

from collections.abc import Mapping

from scenario_runner.lab.apiserver.objects import Json
from scenario_runner.lab.apiserver.requests import Call

_ALLOWED = {"allowed": True, "reason": "the embedded lab has no RBAC: every caller may do everything"}
REVIEWS: Mapping[str, Json] = {
    "SelfSubjectAccessReview": _ALLOWED,
    "SubjectAccessReview": _ALLOWED,
    "LocalSubjectAccessReview": _ALLOWED,
    "SelfSubjectReview": {"userInfo": {"username": "lab", "groups": ["system:masters", "system:authenticated"]}},
}


def review(call: Call) -> Json:
    """The review with its status; nothing is stored."""
    resource = call.at.resource
    about = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}}
    return about | call.object_body() | {"status": REVIEWS[resource.kind]}
