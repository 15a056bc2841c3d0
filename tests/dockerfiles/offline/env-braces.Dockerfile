FROM busybox
ENV A=set
ENV B=${A:-no} C=${U:-default} D=${A:+alt} E=${U:+alt}
