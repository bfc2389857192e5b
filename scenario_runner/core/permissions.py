"""What somebody must be allowed to do in a cluster, in the words of Kubernetes' roles."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Permission:
    """One verb on one kind of object; `namespace` "" stands for all of them, or for what lies in none."""

    verb: str
    resource: str  # plural, with its subresource: "pods", "pods/eviction"
    group: str = ""
    namespace: str = ""
    name: str = ""  # of one certain object

    @property
    def words(self) -> str:
        """ "patch deployments.apps in namespace dynamo"."""
        kind = self.resource.partition("/")[0] + (f".{self.group}" if self.group else "")
        part = self.resource.partition("/")[2]
        what = f"{kind}/{part}" if part else kind
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {what}{f' {self.name}' if self.name else ''}{where}"
