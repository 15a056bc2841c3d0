FROM node:20-alpine AS build
RUN corepack enable
WORKDIR /src
COPY pnpm-lock.yaml ./
RUN --mount=type=cache,id=pnpm,target=/pnpm/store,sharing=shared pnpm fetch
COPY . .
RUN pnpm install --offline && pnpm build
FROM nginx:alpine
COPY --from=build --chown=nginx:nginx /src/dist /usr/share/nginx/html
