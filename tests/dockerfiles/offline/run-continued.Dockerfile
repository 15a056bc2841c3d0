FROM busybox
RUN echo a > /x && \
    # between
    echo b >> /x && \

    echo c >> /x
