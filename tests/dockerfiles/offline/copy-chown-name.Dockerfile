FROM busybox
RUN echo app:x:1001:1002::/: >> /etc/passwd && echo app:x:1002: >> /etc/group
COPY --chown=app:app a dir /srv/
