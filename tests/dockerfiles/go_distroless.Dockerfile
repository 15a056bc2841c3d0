ARG GO=1.24
FROM golang:$GO AS build
COPY . /src
RUN cd /src && go vet ./... && go test ./... && go build -o /app
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=0 /app /
CMD ["/app"]
