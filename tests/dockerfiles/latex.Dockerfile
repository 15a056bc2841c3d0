FROM texlive/texlive AS build
COPY --exclude=*.pdf . /doc
WORKDIR /doc
RUN latexmk -pdf main.tex
FROM scratch AS out
COPY --from=build /doc/main.pdf /
