FROM ruby:3.3 AS base
WORKDIR /rails
ENV RAILS_ENV="production" BUNDLE_PATH="/usr/local/bundle"
FROM base AS build
RUN --mount=type=tmpfs,target=/tmp,size=64m bundle config set --local deployment true
COPY Gemfile Gemfile.lock ./
RUN bundle install
FROM base
COPY --from=build "${BUNDLE_PATH}" "${BUNDLE_PATH}"
RUN groupadd --system --gid 1000 rails && useradd rails --uid 1000 --gid 1000
USER 1000:1000
ENTRYPOINT ["/rails/bin/docker-entrypoint"]
CMD ["./bin/rails", "server"]
