FROM alpine
HEALTHCHECK --interval=0 --retries=0 --timeout=0s CMD true
