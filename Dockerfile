# Redis with the premier module: `docker build -t premier .`, or `docker compose up`.
# For Valkey: --build-arg SERVER_IMAGE=valkey/valkey:9.1. The glibc of the server image must not be
# older than that of the build image; Alpine images have musl and do not work.
ARG BUILD_IMAGE=rust:1-bookworm
ARG SERVER_IMAGE=redis:8.2

FROM ${BUILD_IMAGE} AS build
RUN apt-get update && apt-get install --yes --no-install-recommends libclang-dev
WORKDIR /premier
COPY . .
RUN cargo build --release --locked

FROM ${SERVER_IMAGE}
COPY --from=build /premier/target/release/libpremier.so /usr/lib/redis/modules/
COPY redis.conf /usr/local/etc/redis/redis.conf
# In the file and not on the command line: CONFIG REWRITE would add a second one to the file, and a
# server that has to load a module twice does not start.
RUN echo "loadmodule /usr/lib/redis/modules/libpremier.so" >>/usr/local/etc/redis/redis.conf
# The server listens on all addresses of the container; the published ports decide who reaches it.
CMD ["redis-server", "/usr/local/etc/redis/redis.conf", "--bind", "*", "--protected-mode", "no", "--dir", "/data"]
