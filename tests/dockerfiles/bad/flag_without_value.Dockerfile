FROM a
COPY --from a /
