FROM alpine
ARG x=foo/bar/foo
ARG empty=
ENV A=$x B=${x} C=${unset:-word} D=${unset-word}
ENV E=${x:+word} F=${x+word} G=${x:?message} H=${x?message}
ENV I=${x#*/} J=${x##*/} K=${x%/*} L=${x%%/*}
ENV M=${x/foo/baz} N=${x//foo/baz}
ENV O=${empty:-${x:-${unset:-deep}}} P="${x} and '$x'" Q='$x' R=\$x S=a\ b
LABEL where=${x}/there "quoted key"="quoted value"
WORKDIR /${x}
USER ${unset:-nobody}
VOLUME /data/$x /logs/${x#foo}
EXPOSE ${unset:-8080} 9${unset}0/udp
STOPSIGNAL ${unset:-SIGINT}
COPY $x ${x} /dst/
ADD --chown=${unset:-1}:1 $x /dst/
RUN echo "$NOT_THE_BUILDERS ${BUT_THE_SHELLS^^}"
