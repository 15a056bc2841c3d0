FROM mcr.microsoft.com/devcontainers/base:ubuntu
ARG USERNAME=vscode
ARG USER_UID=1000
ARG USER_GID=$USER_UID
RUN usermod -u $USER_UID $USERNAME || true
SHELL ["/bin/bash", "-c"]
