FROM alpine AS build.1_x-y
FROM build.1_x-y
COPY --from=Build.1_X-Y / /
