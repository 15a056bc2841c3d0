FROM nginx
COPY <<EOF /etc/nginx/conf.d/default.conf
server {
    listen ${PORT:-80};
    root /usr/share/nginx/html;
    location / {
        try_files \$uri \$uri/ /index.html;
    }
}
EOF
