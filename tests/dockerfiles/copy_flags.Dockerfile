FROM debian AS src
FROM debian
COPY --chown=app:app --chmod=755 a b /dst/
COPY --chmod=u=rwX,go=rX c /dst/
COPY --link=true d /dst/
COPY --link=false e /dst/
COPY --parents ./a/./b/c.txt /dst/
COPY --parents=true --exclude=*.md --exclude=**/test f g /dst/
COPY --from=src --chown=1000 /etc/os-release /dst/
