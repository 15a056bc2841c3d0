FROM busybox
RUN mkdir -m 1777 /t && touch /s && chmod 4755 /s && mkfifo /p && chown 5:6 /s && chmod 4755 /s
