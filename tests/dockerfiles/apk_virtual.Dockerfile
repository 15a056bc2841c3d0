FROM alpine:3.21
RUN apk add --no-cache --virtual .build-deps gcc musl-dev \
    # the library itself
    && apk add --no-cache libpq \
    # not needed any more
    && apk del .build-deps
