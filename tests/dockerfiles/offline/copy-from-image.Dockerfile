FROM busybox
COPY --from=busybox /etc/passwd /copied
