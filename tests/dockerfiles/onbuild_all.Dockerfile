FROM alpine
ONBUILD ADD . /app/src
ONBUILD RUN --mount=type=cache,target=/c /usr/local/bin/build --dir /app/src
ONBUILD USER app
ONBUILD WORKDIR /app
ONBUILD EXPOSE 80
ONBUILD VOLUME /data
ONBUILD LABEL a=b
ONBUILD CMD ["x"]
ONBUILD ENTRYPOINT ["y"]
ONBUILD SHELL ["/bin/sh", "-c"]
ONBUILD STOPSIGNAL 9
ONBUILD HEALTHCHECK NONE
onbuild copy --from=0 a b
