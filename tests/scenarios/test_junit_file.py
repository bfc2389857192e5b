"""Every scenario that was asked for is in the pipeline's JUnit file, however the run ends."""

import pytest

from tests.contract.clusters import RealStand, write_kubeconfig
from tests.contract.conftest import api_server
from tests.contract.servers import nobody, serving
from tests.scenarios.bare import CONTROL, Bare

__all__ = ["api_server"]

HARMFUL = """\
version: 1
name: harmful
control: true
targets: {one: {node: n1}, hand: {url: "%s/cordon", method: POST}}
health:
- wait_for_node: {target: one, now: uncordoned}
  timeout: 300ms
steps:
- send_requests: {target: hand, count: 1, every: 1s}
- wait_for_node: {target: one, now: cordoned}
"""


@pytest.fixture
def node(api_server):
    """A cluster with the node n1."""
    stand = RealStand(api_server)
    stand.add_node("n1")
    yield stand
    stand.leave_nothing()


def test_a_cluster_out_of_reach_makes_every_scenario_an_error(tmp_path):
    with nobody() as url:
        bare = Bare(write_kubeconfig(tmp_path, url), tmp_path)
        code, out, err = bare.call(*(bare.write(name, CONTROL % (name, "")) for name in ("first", "second")))
    assert (code, out) == (3, "")
    why = f"the API server at {url} is not reachable (Connection refused)"
    assert err == f"{why}\n"
    assert bare.cases() == {"first": [("00 begin", ("error", why))], "second": [("00 begin", ("error", why))]}


def test_after_a_scenario_that_left_the_cluster_unhealthy_nothing_more_is_run(api_server, node, tmp_path):
    def cordon(request):
        node.cordon("n1")
        request.reply(200, {})

    bare = Bare(api_server, tmp_path)
    with serving(cordon) as hand:
        files = [bare.write("harmful", HARMFUL % hand)]
        files += [bare.write(name, CONTROL % (name, "")) for name in ("second", "third")]
        code, out, _ = bare.call(*files)
    ill = (
        "no controller uncordoned n1 within 300ms; condition SysLogsXIDError is absent; it is cordoned; "
        "it is not ready: does its kubelet run?"
    )
    why = f"after harmful the cluster is not healthy: {ill}"
    assert (code, out.splitlines()[-1]) == (1, f"not run: second, third: {why}")
    assert bare.cases() == {
        "harmful": [
            ("health 01 one is uncordoned",),
            ("01 requests to hand",),
            ("02 one is cordoned",),
            ("health 01 again one is uncordoned (after undo)", ("failure", ill)),
        ],
        "second": [("00 begin", ("skipped", f"not run: {why}"))],
        "third": [("00 begin", ("skipped", f"not run: {why}"))],
    }
