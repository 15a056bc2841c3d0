FROM rust:1.88 AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=private \
    cargo build --release --locked && cp target/release/app /app
FROM debian:stable-slim
COPY --from=build /app /usr/local/bin/app
CMD ["app"]
