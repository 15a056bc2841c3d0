FROM debian
COPY *.txt /txt/
COPY hom?.txt /one/
COPY [a-c]*.conf /conf/
COPY a[^x]b /n/
COPY arr\[0].txt /mydir/
COPY --parents **/*.proto /protos/
