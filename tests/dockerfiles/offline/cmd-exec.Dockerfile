FROM busybox
CMD ["top", "-b"]
