FROM alpine
RUN --mount=type=secret,id=token,env=TOKEN,required curl -H "Authorization: $TOKEN" https://example.com
RUN --mount=type=secret,src=other cat /run/secrets/other
