FROM debian
COPY ["a file", "another file", "/dir with spaces/"]
ADD ["x.tar", "/x y/"]
