# The worker as it runs in the cloud: Python, Arrow, and nothing that builds anything.
#
#   docker build -t shopkpi .
#   docker run --rm --read-only --tmpfs /tmp -v "$PWD/data:/data:ro" -v "$PWD/out:/out" \
#     shopkpi run /data --workspace /out
#
# BASE_IMAGE is any image with python3 (3.11 or later), its venv module and CA certificates. Both
# stages start from it, so that the packages run on the interpreter that they were installed for.
# It is pinned by the digest of the index of all architectures: the tag alone is rebuilt now and
# then. `docker buildx imagetools inspect python:3.11.14-slim-bookworm` shows the digest of today.
ARG BASE_IMAGE=python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

FROM ${BASE_IMAGE} AS build
SHELL ["/bin/sh", "-eu", "-c"]
WORKDIR /src
# Times in archives, and the order of sets in byte code: the same sources give the same bytes.
ENV SOURCE_DATE_EPOCH=1704067200 PYTHONHASHSEED=0 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# pip and the build backend live in an environment of their own and so never get into the image.
RUN python3 -m venv /pip && python3 -m venv --without-pip /opt/shopkpi
COPY requirements.lock requirements-build.lock ./
RUN /pip/bin/pip install --only-binary :all: --require-hashes -r requirements-build.lock \
    && /pip/bin/pip --python /opt/shopkpi/bin/python install \
        --no-compile --only-binary :all: --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY kpi kpi
COPY worker worker
# Without isolation, which would fetch a build backend that no lock names.
RUN /pip/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
    && /pip/bin/pip --python /opt/shopkpi/bin/python install \
        --no-compile --no-deps --no-index /wheels/*.whl
COPY infra/image/prune_packages.py ./
# What no worker ever loads; then byte code, which a read-only container could not cache itself.
RUN /opt/shopkpi/bin/python prune_packages.py \
    && /opt/shopkpi/bin/python -m compileall -qf --invalidation-mode unchecked-hash /opt/shopkpi/lib

FROM ${BASE_IMAGE}
COPY --from=build /opt/shopkpi /opt/shopkpi
ENV PATH=/opt/shopkpi/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1
# The only place that is written to: Fargate mounts scratch space there with this mode.
VOLUME ["/tmp"]
USER 10001:10001
WORKDIR /tmp
# Exec form: SIGTERM reaches the worker itself.
ENTRYPOINT ["shopkpi"]
CMD ["--help"]
