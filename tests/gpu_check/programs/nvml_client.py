"""NVML through pynvml: the name and UUID of the first GPU, and whether it is there."""

from probe import attempt, need, tell

nvml = need("pynvml")
nvml.nvmlInit()
gpu = nvml.nvmlDeviceGetHandleByIndex(0)


def text(value):
    return value.decode() if isinstance(value, bytes) else value


tell(call="uuid", answer=text(nvml.nvmlDeviceGetUUID(gpu)))
attempt("memory", lambda: nvml.nvmlDeviceGetMemoryInfo(gpu))
attempt("temperature", lambda: nvml.nvmlDeviceGetTemperature(gpu, 0))
