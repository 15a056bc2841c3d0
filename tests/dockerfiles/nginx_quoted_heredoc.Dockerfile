FROM nginx
COPY <<"EOF" /etc/nginx/conf.d/default.conf
server {
    set $x "not a variable of the build";
}
EOF
