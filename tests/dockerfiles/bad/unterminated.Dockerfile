FROM a
RUN <<EOF
true
