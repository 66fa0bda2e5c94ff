# An image with `cullet` alone.
#
#     docker build -t cullet .
#
# builds it from source in the first stage. Where a program is there already, made on a system that is no newer than the
# image's, the first stage is not needed:
#
#     docker build -t cullet --build-context build=target/release --build-arg PROGRAM=cullet .
#
# Steps see the software of the image that their worker runs in. For pipelines, start another one `FROM` what they need, and
# copy /usr/local/bin/cullet into it.

FROM rust:1-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --package cullet

FROM debian:12-slim
ARG PROGRAM=source/target/release/cullet
# For buckets behind TLS.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 1000 --create-home cullet \
    && install -d -o cullet -g cullet /data /store
COPY --from=build $PROGRAM /usr/local/bin/cullet
USER 1000
ENV CULLET_CACHE_DIR=/data
VOLUME /data
ENTRYPOINT ["cullet"]
