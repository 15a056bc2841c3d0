FROM composer:2 AS vendor
WORKDIR /app
COPY composer.* ./
RUN composer install --no-dev --no-scripts
FROM php:8-fpm-alpine
COPY --from=vendor /app/vendor/ /srv/vendor/
VOLUME ["/srv/var/cache", "/srv/var/log"]
