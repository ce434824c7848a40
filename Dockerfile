# The bridge on Debian 13:
#
#   docker build --tag grpc-sse-bridge .
#   docker build --target test .    instead builds the tests and runs those of units and of the whole binary, with the image's libraries
#   docker build --target demo .    the demo that publishes, for docker-compose.yml
#
# No syntax line and no cache mounts: every builder takes it, also one without a registry. docs/deployment.md says how to run it.

FROM debian:trixie-slim AS build
WORKDIR /src
COPY scripts/setup scripts/
RUN scripts/setup --build
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY proto proto
COPY bridge bridge
COPY examples/cpp examples/cpp
RUN cmake --preset release && cmake --build --preset release --target sse-bridge demo-publisher
COPY deploy/image deploy/image
RUN mkdir --parents /image/store && install --strip build/release/bin/sse-bridge build/release/bin/demo-publisher /image/ \
  && deploy/image/packages /image/sse-bridge /image/demo-publisher > /image/packages

FROM build AS test
RUN apt-get update && apt-get install --yes --no-install-recommends \
  ca-certificates clang-19 libgmock-dev libgtest-dev lld-19 nats-server openssl python3
COPY docs docs
COPY tests tests
RUN cmake --preset dev -D BRIDGE_BENCH=OFF && cmake --build --preset dev
# What is tested is the binary that the image has.
RUN cp /image/sse-bridge build/dev/bin/ && ctest --preset dev --label-regex '^(unit|integration)$'

# What the binaries load, and the certificates with which they check those of others.
FROM debian:trixie-slim AS runtime
COPY --from=build /image/packages /usr/share/doc/sse-bridge/
RUN apt-get update \
  && xargs env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates \
    < /usr/share/doc/sse-bridge/packages \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/cache/ldconfig/* /var/log/*
USER 65532:65532

FROM runtime AS sbom
WORKDIR /tmp
COPY --from=build /image/sse-bridge /src/deploy/image/sbom ./
RUN ./sbom "$(./sse-bridge --version | cut -d ' ' -f 2)" > sbom.spdx.json

FROM runtime AS demo
COPY --from=build /image/demo-publisher /usr/bin/
ENTRYPOINT ["/usr/bin/demo-publisher"]

FROM runtime
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="grpc-sse-bridge" \
  org.opencontainers.image.description="Backends publish events over gRPC, browsers receive them as Server-Sent Events" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="$VERSION" \
  org.opencontainers.image.revision="$REVISION" \
  org.opencontainers.image.base.name="debian:trixie-slim"
COPY --from=build /image/sse-bridge /usr/bin/
COPY --from=build --chown=65532:65532 /image/store /var/lib/sse-bridge
COPY --from=sbom /tmp/sbom.spdx.json /usr/share/doc/sse-bridge/
COPY deploy/image/config.yaml /etc/sse-bridge/
COPY LICENSE /usr/share/doc/sse-bridge/
EXPOSE 8080 9090 8081
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s \
  CMD ["/usr/bin/sse-bridge", "--health", "--config", "/etc/sse-bridge/config.yaml"]
ENTRYPOINT ["/usr/bin/sse-bridge"]
CMD ["--config", "/etc/sse-bridge/config.yaml"]
