FROM busybox
LABEL one=1 two="a b"
LABEL three='c'
