FROM alpine
ONBUILD RUN <<EOF
echo in the child
EOF
ONBUILD COPY <<-"A" <<B /dst/
	first
	A
second
B
