FROM busybox
ENV A=1 B="two words" C=three\ words D='single'
RUN env | grep -E '^[ABCD]=' | sort > /env
