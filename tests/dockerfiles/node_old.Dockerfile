FROM node:0.12
MAINTAINER Ada Example <ada@example.com>
ADD . /srv
WORKDIR /srv
RUN npm install
EXPOSE 8080
CMD npm start
