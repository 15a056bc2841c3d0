FROM alpine
ADD https://github.com/moby/buildkit.git#v0.14.1:docs /docs
ADD --keep-git-dir=true https://github.com/moby/buildkit.git /src
ADD --keep-git-dir git@git.example.com:foo/bar.git /bar
ADD --exclude=*.md https://example.com/repo.git?ref=main /repo
