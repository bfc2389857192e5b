# The fault agent, both roles. Built from the repository's root:
#   docker build -f agent/deploy/images/agent.Dockerfile -t fault-agent:0.1.0 \
#     --label org.opencontainers.image.revision="$(git rev-parse HEAD)" .
# A tag can be moved: `--build-arg BASE=python@sha256:...` builds on exactly the image that you have checked.
ARG BASE=python:3.13.9-slim-bookworm
FROM ${BASE} AS build
WORKDIR /build
COPY agent/deploy/images/build.requirements.txt agent/deploy/images/agent.requirements.txt ./
RUN pip install --no-cache-dir --require-hashes -r build.requirements.txt
# Without pip: nothing installs anything into the finished image.
RUN python -m venv --without-pip /opt/fault-agent \
 && pip --python /opt/fault-agent install --no-cache-dir --require-hashes -r agent.requirements.txt
COPY agent/pyproject.toml agent/README.md agent/
COPY agent/fault_agent agent/fault_agent
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir wheels ./agent \
 && pip --python /opt/fault-agent install --no-cache-dir --no-deps wheels/*.whl

FROM ${BASE}
LABEL org.opencontainers.image.title="fault-agent" \
      org.opencontainers.image.description="Makes GPU nodes report XID errors through their kernel log, and takes them back." \
      org.opencontainers.image.version="0.1.0"
COPY --from=build /opt/fault-agent /opt/fault-agent
ENV PATH=/opt/fault-agent/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# The gateway and the job that recovers all faults need no more. The chart runs the agent of a node as root, since
# /dev/kmsg belongs to root.
USER 65532:65532
ENTRYPOINT ["fault-agent"]
CMD ["--help"]
