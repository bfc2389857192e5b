"""Three commands of the README lead from a cluster to a green drill, for which a node really reboots."""

import pytest

from tests.e2e import stage as scenery
from tests.e2e.drill import Stage
from tests.e2e.drills.readme import carry_out_and_agree, commands

pytestmark = pytest.mark.kmsg


def test_the_readmes_three_commands_lead_to_a_green_drill_and_a_real_reboot(calm: Stage):
    """The stage was installed by the first two."""
    _, _, drill = commands()
    boots = {name: calm.cluster.machines[name].boot_id for name in calm.cluster.nodes}
    with scenery.machine_room(calm.cluster) as booted:
        # A node that boots takes both processors of this machine for seconds: 932 ms after 178 were seen.
        done = carry_out_and_agree(calm, drill, calm="3s", window="2s", slower="20")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Type yes to go on:\n" in done.stdout
    (victim,) = booted
    after = calm.cluster.get("node", victim)["status"]["nodeInfo"]["bootID"]
    assert after not in boots.values()
    assert [name for name in boots if calm.cluster.machines[name].boot_id != boots[name]] == [victim]
    events = calm.cluster.get(
        "events", "--namespace=default", f"--field-selector=involvedObject.name={victim},reason=Rebooted"
    )
    assert any(after in one["message"] for one in events["items"])
    assert f"XID 79 on {victim} was gone: its node was rebooted" in done.stdout
