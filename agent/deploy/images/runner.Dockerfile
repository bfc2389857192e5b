# The scenario runner, for drills that run in the cluster. Built from the repository's root:
#   docker build -f agent/deploy/images/runner.Dockerfile -t scenario-runner:0.1.0 \
#     --label org.opencontainers.image.revision="$(git rev-parse HEAD)" .
# A tag can be moved: `--build-arg BASE=python@sha256:...` builds on exactly the image that you have checked.
ARG BASE=python:3.13.9-slim-bookworm
FROM ${BASE} AS build
WORKDIR /build
COPY agent/deploy/images/build.requirements.txt agent/deploy/images/runner.requirements.txt ./
RUN pip install --no-cache-dir --require-hashes -r build.requirements.txt
# Without pip: nothing installs anything into the finished image.
RUN python -m venv --without-pip /opt/scenario-runner \
 && pip --python /opt/scenario-runner install --no-cache-dir --require-hashes -r runner.requirements.txt
# The wheel brings the CUDA library along, which is built here; the finished image has no compiler.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev make \
 && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml README.md ./
COPY cuda_lib cuda_lib
COPY scenario_runner scenario_runner
COPY agent/fault_agent agent/fault_agent
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir wheels . \
 && pip --python /opt/scenario-runner install --no-cache-dir --no-deps wheels/*.whl

FROM ${BASE}
LABEL org.opencontainers.image.title="scenario-runner" \
      org.opencontainers.image.description="GPU fault drills for Kubernetes clusters that serve models, written in YAML." \
      org.opencontainers.image.version="0.1.0"
COPY --from=build /opt/scenario-runner /opt/scenario-runner
COPY scenarios /scenarios
ENV PATH=/opt/scenario-runner/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SCENARIO_RUNNER_STATE=/state
# Both are for volumes; whoever runs without any loses them with the container.
RUN install -d -o 65532 -g 65532 /reports /state
WORKDIR /
USER 65532:65532
ENTRYPOINT ["scenario-runner"]
CMD ["--help"]
