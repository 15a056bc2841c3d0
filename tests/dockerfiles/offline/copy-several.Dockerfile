FROM busybox
COPY a b.txt dir/one /many/
