FROM debian
RUN <<EOF bash -ex
echo one
echo two
EOF
