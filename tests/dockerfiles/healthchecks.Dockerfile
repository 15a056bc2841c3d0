FROM alpine AS none
HEALTHCHECK NONE
FROM alpine AS shell
HEALTHCHECK --interval=5m --timeout=3s --start-period=10s --start-interval=500ms --retries=5 \
  CMD curl -f http://localhost/ || exit 1
FROM alpine
HEALTHCHECK --interval=1m30s CMD ["/check", "--fast"]
