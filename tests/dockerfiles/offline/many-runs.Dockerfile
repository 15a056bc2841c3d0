FROM busybox
RUN echo 0 >> /log
RUN echo 1 >> /log
RUN echo 2 >> /log
RUN echo 3 >> /log
RUN echo 4 >> /log
RUN echo 5 >> /log
