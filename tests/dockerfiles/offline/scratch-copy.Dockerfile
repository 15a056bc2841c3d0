FROM scratch
COPY a /
COPY dir /d/
CMD ["/a"]
