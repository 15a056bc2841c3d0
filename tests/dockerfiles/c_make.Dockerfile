FROM gcc:14 AS build
COPY . /src
RUN make -C /src -j"$(nproc)" PREFIX=/usr \
    CFLAGS='-O2 -g' install DESTDIR=/out
FROM debian:stable
COPY --from=build /out/ /
