FROM alpine
VOLUME /a
VOLUME /b /c
VOLUME ["/d e", "/f"]
