FROM alpine
ENV ONE 1 and more words   kept
ENV TWO=2 THREE="3 3" FOUR=4\ 4 FIVE='5 "5"'
ENV SIX=
ENV MULTI=a\
b\
c
ENV PATH /opt/bin:$PATH
