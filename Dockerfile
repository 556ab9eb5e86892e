# Redis with premier in it: `docker build -t premier .`, or with compose.yaml `docker compose up`.
# For Valkey: --build-arg SERVER_IMAGE=valkey/valkey:9.1. A server image must not have an older glibc than the build image,
# nor musl, as those of Alpine have.
ARG BUILD_IMAGE=rust:1-bookworm
ARG SERVER_IMAGE=redis:8.2

FROM ${BUILD_IMAGE} AS build
RUN apt-get update && apt-get install --yes --no-install-recommends libclang-dev
WORKDIR /premier
COPY . .
RUN cargo build --release --locked

FROM ${SERVER_IMAGE}
COPY --from=build /premier/target/release/libpremier.so /usr/local/lib/
COPY redis.conf /usr/local/etc/redis/redis.conf
# Inside a container all its addresses are listened to; who reaches them is a matter of the ports that are published.
CMD ["redis-server", "/usr/local/etc/redis/redis.conf", "--loadmodule", "/usr/local/lib/libpremier.so", \
     "--bind", "*", "--protected-mode", "no", "--dir", "/data"]
