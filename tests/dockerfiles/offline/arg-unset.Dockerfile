FROM busybox
ARG NOTHING
RUN echo "[$NOTHING]" > /x
