FROM php:8.3-apache
RUN apt-get update \
 && apt-get install -y --no-install-recommends libpng-dev \
 && docker-php-ext-install gd pdo_mysql \
 && rm -rf /var/lib/apt/lists/*
COPY . /var/www/html
VOLUME /var/www/html/uploads
