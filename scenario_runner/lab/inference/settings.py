"""What the environment says about one instance of the service."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scenario_runner.lab.inference.misbehaviour import Misbehaviour, parse_misbehaviour


@dataclass(frozen=True)
class Settings:
    """
    Times in seconds. Environment variables in brackets.

    `startup` is how long the model takes to load, `token` how long each token takes. After SIGTERM the listener stays
    open for `drain` (a Service forgets a pod a moment after the pod was told to go) and requests in flight get `grace`.
    """

    host: str = "127.0.0.1"  # POD_IP
    port: int = 8000  # PORT; 0 picks a free one
    model: str = "lab-model"  # MODEL_NAME
    startup: float = 2.0  # STARTUP_SECONDS
    token: float = 0.005  # TOKEN_SECONDS
    drain: float = 0.3  # DRAIN_SECONDS
    grace: float = 4.0  # GRACE_SECONDS; below the lab's terminationGracePeriodSeconds
    misbehaviour: Misbehaviour = field(default_factory=Misbehaviour)  # MISBEHAVE
    has_gpu: bool = False  # CUDA_VISIBLE_DEVICES, if that names any
    # ON_CUDA_ERROR=exit; engines as they must not be: answer-500 stays, exit-on-oom also goes for want of memory
    leaves_on_cuda_error: bool = True
    leaves_on_oom: bool = False


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Raises ValueError with one sentence that names the variable."""
    default = Settings()
    on_cuda_error = _on_cuda_error(environment.get("ON_CUDA_ERROR") or "exit")
    return Settings(
        host=environment.get("POD_IP", default.host),
        port=int(_number(environment, "PORT", default.port)),
        model=environment.get("MODEL_NAME", default.model),
        startup=_number(environment, "STARTUP_SECONDS", default.startup),
        token=_number(environment, "TOKEN_SECONDS", default.token),
        drain=_number(environment, "DRAIN_SECONDS", default.drain),
        grace=_number(environment, "GRACE_SECONDS", default.grace),
        misbehaviour=parse_misbehaviour(environment.get("MISBEHAVE", "")),
        has_gpu=bool(environment.get("CUDA_VISIBLE_DEVICES")),
        leaves_on_cuda_error=on_cuda_error != "answer-500",
        leaves_on_oom=on_cuda_error == "exit-on-oom",
    )


def _on_cuda_error(text: str) -> str:
    if text not in {"exit", "answer-500", "exit-on-oom"}:
        raise ValueError(f"ON_CUDA_ERROR={text} is not one of exit, answer-500, exit-on-oom")
    return text


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if number < 0:
        raise ValueError(f"{name}={text} is not a number of at least 0")
    return number
