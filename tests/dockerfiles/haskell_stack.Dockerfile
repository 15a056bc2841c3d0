FROM haskell:9 AS build
WORKDIR /opt/app
COPY ./*.cabal /opt/app/
RUN cabal update && cabal build --only-dependencies -j4
COPY . /opt/app
RUN cabal install
CMD ["app"]
