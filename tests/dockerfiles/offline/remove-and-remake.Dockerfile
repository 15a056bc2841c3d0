FROM busybox
RUN mkdir /d && touch /d/a /d/b
RUN rm -r /d && mkdir /d && touch /d/c
