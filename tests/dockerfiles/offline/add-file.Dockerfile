FROM busybox
ADD a /added/
