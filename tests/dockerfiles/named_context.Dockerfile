FROM alpine
COPY --from=shared . /shared
RUN --mount=type=bind,from=shared,target=/ctx ls /ctx
