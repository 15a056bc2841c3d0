FROM busybox
HEALTHCHECK --interval=5s --timeout=3s --retries=2 CMD wget -q localhost
