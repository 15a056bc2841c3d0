FROM scratch AS s1
COPY a /a
FROM scratch AS s2
COPY b /b
FROM s1 AS s3
COPY --from=s2 / /
FROM s3
COPY --from=s1 /a /c
