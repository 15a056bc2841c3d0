FROM alpine
RUN --mount=type=secret,id=aws,target=/root/.aws/credentials aws s3 cp s3://b/k /x
RUN --mount=type=secret,id=npmrc,dst=/root/.npmrc,required=true,mode=0440,uid=1000,gid=1000 npm ci
