FROM alpine
RUN cat <<<here-string; echo $((1<<2)) "<<NO" '<<NO'
RUN ["cat", "<<EOF"]
