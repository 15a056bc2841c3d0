FROM busybox
COPY ["a", "b.txt", "/with space/"]
