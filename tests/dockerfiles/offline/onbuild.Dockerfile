FROM busybox
ONBUILD RUN echo child
ONBUILD COPY a /
