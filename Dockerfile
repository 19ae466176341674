# One image for `worker`, `db migrate`, `reconcile` and every other command of signup-sync. It needs no write access to
# its root file system and no privileges.
#
#     docker build --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" --tag signup-sync .

# A tag can be given another content: `deploy/pin-base` writes the digest of what the tag names today behind it, which is
# to be committed before a release. Another base is chosen with --build-arg BASE=name@sha256:...
ARG BASE=docker.io/library/python:3.13.9-slim-trixie

FROM ${BASE} AS build

RUN python -m venv /opt/build && python -m venv --without-pip /opt/signup-sync
WORKDIR /source
# The dependencies first: they change less often than the code, and their layer is kept.
COPY requirements/build.txt requirements/worker.txt requirements/
RUN /opt/build/bin/python -m pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/build.txt \
    && /opt/build/bin/python -m pip --python /opt/signup-sync/bin/python install \
        --no-cache-dir --no-compile --require-hashes --only-binary :all: -r requirements/worker.txt
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY db db
COPY signup_sync signup_sync
COPY trigger_lambda trigger_lambda
COPY worker worker
# The installed packages are compiled here, because the root file system cannot be written to later.
RUN /opt/build/bin/python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel . ./signup_sync \
    && /opt/build/bin/python -m pip --python /opt/signup-sync/bin/python install \
        --no-cache-dir --no-compile --no-deps --no-index /wheel/*.whl \
    && /opt/signup-sync/bin/python -m compileall -q -j 0 /opt/signup-sync/lib

FROM ${BASE}

ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="signup-sync" \
      org.opencontainers.image.description="Cognito sign-ups into Postgres by way of SQS" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# A fixed number: Kubernetes' runAsNonRoot and ECS' task definitions compare numbers, and volumes keep them.
RUN groupadd --gid 10001 signup-sync \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin signup-sync
# Amazon's certificate authorities for RDS and RDS Proxy, where `deploy/deploy` has put them; sslrootcert names the file.
COPY deploy/certificates/ /etc/signup-sync/
COPY --from=build /opt/signup-sync /opt/signup-sync

ENV PATH=/opt/signup-sync/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# For `reconcile --report-orphans`, which spools to a file. Declared, because a volume that ECS mounts there is writable
# for this user only if it has the directory's own permissions (Amazon ECS Developer Guide, "Use bind mounts").
VOLUME ["/tmp"]
USER 10001:10001
WORKDIR /

# The exec form: signup-sync is process 1 and gets the SIGTERM itself. 25 seconds are its limit for stopping.
STOPSIGNAL SIGTERM
ENTRYPOINT ["signup-sync"]
CMD ["worker"]
# Whether all threads of the worker turn. It does not ask the database on purpose: a worker that waits for one is well,
# and restarting it would help nobody. For other commands than `worker`: --no-healthcheck.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["signup-sync", "health"]
