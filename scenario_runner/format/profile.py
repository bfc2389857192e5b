"""The platform's times: the shipped profile, and what a scenario replaces of it."""

from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict

from scenario_runner.core.plan import PlatformProfile
from scenario_runner.core.quantities import Seconds
from scenario_runner.format.scenario import PlatformSpec
from scenario_runner.format.yaml_core import parse_yaml, plain


class Profile(BaseModel):
    """The shipped file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    phases: PlatformSpec
    settle_after_recovery: tuple[Seconds, Seconds]


@cache
def shipped_profile() -> Profile:
    """The profile that comes with the package."""
    source = files("scenario_runner.format").joinpath("platform_profile.yaml")
    return Profile.model_validate(plain(parse_yaml(source.read_bytes(), source.name)))


def platform_profile(replaced: PlatformSpec) -> PlatformProfile:
    """The shipped times with a scenario's own in their place."""
    times = shipped_profile().phases.model_dump(exclude_none=True) | replaced.model_dump(exclude_none=True)
    return PlatformProfile(**times)
