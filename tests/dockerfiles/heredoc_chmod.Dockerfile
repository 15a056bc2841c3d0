FROM alpine
COPY --chmod=0755 --chown=1000:1000 <<'entry.sh' /usr/local/bin/
#!/bin/sh
exec "$@"
entry.sh
ENTRYPOINT ["entry.sh"]
