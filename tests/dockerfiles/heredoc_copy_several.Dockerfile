FROM alpine
ARG NAME=world
COPY <<robots.txt <<humans.txt plain.txt /var/www/
User-agent: *
Disallow: /${NAME}
robots.txt
Made by $NAME, \$5, "quoted", 'too'
humans.txt
