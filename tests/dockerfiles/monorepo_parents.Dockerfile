FROM node:22 AS deps
WORKDIR /repo
COPY --parents package.json packages/*/package.json ./
COPY --parents --exclude=**/node_modules packages/./*/src ./
RUN npm ci
