FROM busybox
ENV A=1
ENV A=2
ENV B=${A}x
