FROM alpine
RUN [ -d /etc ] && echo yes
RUN ['single', 'quotes']
CMD [ "a", "b"
ENTRYPOINT ["trailing", "comma",]
