FROM busybox
RUN echo old > /x && chmod 600 /x
COPY a /x
