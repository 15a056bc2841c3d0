FROM alpine
RUN [ "echo" , "a\tb" , "\u00e4" , "q\"q" ]
CMD []
ENTRYPOINT []
