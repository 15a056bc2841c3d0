FROM rust:alpine AS build
RUN apk add --no-cache musl-dev
ADD . /src
WORKDIR /src
RUN cargo install --path . --root /out
FROM scratch AS bin
COPY --from=build /out/bin/* /
