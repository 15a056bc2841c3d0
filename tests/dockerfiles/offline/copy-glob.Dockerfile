FROM busybox
COPY *.txt dir/*.txt /texts/
