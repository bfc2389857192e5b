"""A cluster of one node without any platform, and the command line before it."""

from xml.etree import ElementTree as ET

from click.testing import CliRunner
from lxml import etree

from scenario_runner.cli import main
from tests.reporters.test_junit import HERE as REPORTER_TESTS

CONTROL = """\
version: 1
name: %s
control: true
%stargets: {one: {node: n1}}
steps:
- wait_for_node: {target: one, now: uncordoned}
"""


class Bare:
    """Runs scenarios and reads the JUnit file of all of them."""

    def __init__(self, kubeconfig, folder):
        self.kubeconfig = kubeconfig
        self.folder = folder
        self.junit = folder / "junit.xml"

    def write(self, name, text):
        file = self.folder / f"{name}.yaml"
        file.write_text(text)
        return file

    def call(self, *words):
        """The exit code and both outputs."""
        words = ["run", "--context", "it", "--kubeconfig", self.kubeconfig, "--yes", "--junit", self.junit, *words]
        words += ["--report-dir", self.folder / "reports"]
        environment = {"SCENARIO_RUNNER_STATE": str(self.folder / "state")}
        result = CliRunner(env=environment).invoke(main, [str(word) for word in words])
        return result.exit_code, result.stdout, result.stderr

    def cases(self):
        return junit_cases(self.junit)


def junit_cases(file):
    """By scenario: each case with what it holds beside its output, and the message of that. The file is valid."""
    schema = etree.XMLSchema(etree.parse(REPORTER_TESTS / "junit-strict.xsd"))
    schema.assertValid(etree.parse(file))
    return {
        suite.get("name"): [
            (case.get("name"), *((part.tag, part.get("message")) for part in case if part.tag != "system-out"))
            for case in suite.iter("testcase")
        ]
        for suite in ET.parse(file).getroot()
    }
