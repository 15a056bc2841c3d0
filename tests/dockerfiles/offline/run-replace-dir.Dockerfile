FROM busybox
RUN mkdir /x && touch /x/a
RUN rm -r /x && echo file > /x
