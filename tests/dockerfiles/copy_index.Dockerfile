FROM alpine
RUN touch /a
FROM alpine
RUN touch /b
FROM scratch
COPY --from=0 /a /
COPY --from=1 /b /
