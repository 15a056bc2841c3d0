ARG V=1
FROM busybox
ARG V
RUN echo v$V > /v
