FROM busybox
LABEL a=1 \
      b=2 \
      # a comment
      c=3
