FROM elixir:1.18-alpine AS build
ENV MIX_ENV=prod
WORKDIR /app
COPY mix.exs mix.lock ./
RUN mix local.hex --force && mix deps.get --only prod
COPY config config
COPY lib lib
RUN mix release
FROM alpine:3
COPY --from=build --chown=nobody:nobody /app/_build/prod/rel/app /app
USER nobody
CMD ["/app/bin/app", "start"]
