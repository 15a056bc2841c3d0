FROM busybox
WORKDIR /srv
COPY a .
COPY b.txt sub/
