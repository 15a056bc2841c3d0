FROM busybox
CMD echo $HOME
