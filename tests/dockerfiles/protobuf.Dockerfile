FROM --platform=$BUILDPLATFORM alpine AS protoc
RUN apk add --no-cache protobuf
FROM protoc AS gen
RUN --mount=type=bind,source=proto,target=/proto protoc -I /proto --go_out=/out /proto/*.proto
FROM scratch
COPY --from=gen /out /
