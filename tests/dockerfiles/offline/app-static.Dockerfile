FROM busybox AS build
WORKDIR /src
COPY dir .
RUN cat one two.txt > built
FROM scratch
COPY --from=build /src/built /app
ENTRYPOINT ["/app"]
EXPOSE 8080
USER 65534
