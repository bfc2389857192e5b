"""Rules of a CUDA fault that a scenario writes itself, where no profile says what it wants to try."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from scenario_runner.core.quantities import Seconds
from scenario_runner.gpu.cuda_codes import cuda_code

CALLS = (
    "init", "query", "context", "alloc", "free", "copy", "launch", "sync", "stream", "module", "peer", "other",
    "nvml", "nvlink",
)  # fmt: skip
MODES = ("fail", "sticky", "async", "delay", "hang", "oom")
_OUT_OF_MEMORY = 2
_LATE = frozenset({"delay", "hang", "async"})  # modes in which time means something


def _one_of(names: Sequence[str], what: str) -> Callable[[str], str]:
    def known(name: str) -> str:
        if name in names:
            return name
        close = get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]}?" if close else f"take one of {', '.join(names)}"
        raise ValueError(f"there is no {what} {name}: {hint}")

    return known


Calls = Annotated[str, AfterValidator(_one_of(CALLS, "kind of CUDA call")), WithJsonSchema({"enum": [*CALLS]})]
Mode = Annotated[str, AfterValidator(_one_of(MODES, "mode")), WithJsonSchema({"enum": [*MODES]})]


class CudaRule(BaseModel):
    """What is done to which calls; of several rules the first that fits a call wins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    calls: tuple[Calls, ...] = Field(description="Which calls: launch, sync, copy, alloc and others.")
    mode: Mode = Field(
        description="`fail` this call, `sticky` all calls from then on, `async` the next call and all from then on, "
        "`delay`, `hang`, or `oom`: too little memory."
    )
    code: int | str | None = Field(None, description="What they answer: a number of CUDA's errors, or its name.")
    nvml_code: int | None = Field(None, ge=1, lt=2**31, description="What calls of NVML answer.")
    scope: Literal["device", "process"] | None = Field(
        None, description="Whether a sticky error breaks one GPU of its process, or all."
    )
    delay: Seconds | None = Field(None, gt=0, description="How late a call is, how long it hangs at most.")
    not_before: Seconds | None = Field(None, gt=0, description="So long after arming all calls pass.")
    after_calls: int | None = Field(None, ge=1, description="So many matching calls of each process pass first.")
    probability: float | None = Field(None, gt=0, le=1, description="Which share of the matching calls is hit.")
    max_hits: int | None = Field(None, ge=1, description="Hit at most so many calls of each process.")
    min_bytes: int | None = Field(None, ge=1, description="Only allocations of at least so many bytes.")
    free_bytes: int | None = Field(None, ge=0, description="With `oom`: how much memory seems to be free.")
    process: str | None = Field(None, min_length=1, max_length=15, description="Only processes of this name.")
    running_only: bool | None = Field(
        None, description="`true`: only processes that have started CUDA by then; one that starts later is healthy."
    )

    @model_validator(mode="after")
    def _does_something(self) -> "CudaRule":
        if not self.calls:
            raise ValueError("calls must name at least one kind of call")
        if self.code is not None:
            cuda_code(self.code)
        if self.mode in {"fail", "sticky", "async"} and self.code is None and self.nvml_code is None:
            raise ValueError(f"{self.mode} needs a code that the calls answer, e.g. code: launch-failed")
        if self.mode == "delay" and self.delay is None:
            raise ValueError("mode delay needs a delay, e.g. delay: 20ms")
        if self.delay is not None and self.mode not in _LATE:
            raise ValueError(f"a delay is for the modes delay, hang and async, not for {self.mode}")
        if self.free_bytes is not None and self.mode != "oom":
            raise ValueError("free_bytes is for the mode oom")
        return self

    @property
    def words(self) -> str:
        return f"{', '.join(self.calls)}: {self.mode}"

    def order(self) -> dict[str, Any]:
        """As the agent takes it."""
        given: dict[str, Any] = {
            name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None
        }
        code = self.code if self.code is not None else _OUT_OF_MEMORY if self.mode == "oom" else None
        return {"classes": [*given.pop("calls")], **given, **({} if code is None else {"code": cuda_code(code)})}
