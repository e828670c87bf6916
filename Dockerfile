# The worker's image. Stages: build (TypeScript -> dist), dependencies (what runs, pruned), comfyui or stand-in, runtime.
# Builds with current BuildKit and with the classic builder of Docker 20.10: no syntax line, no mounts, no heredocs.
# The defaults below are those of docker/versions.env; docs/deploy.md explains every argument.
ARG BASE_IMAGE=nvidia/cuda:12.8.1-base-ubuntu24.04
ARG NODE_IMAGE=node:24.21.0-bookworm-slim
# `comfyui`, or `stand-in`: then the very same runtime holds the sandbox's ComfyUI, and neither GPU nor PyTorch is needed.
ARG COMFYUI_STAGE=comfyui

FROM ${NODE_IMAGE} AS node

FROM node AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.mjs scripts/
COPY shared shared
COPY worker worker
COPY client client
COPY sandbox sandbox
RUN node scripts/build.mjs && find dist -name '*.map' -delete -o -name '*.d.ts' -delete

# Production dependencies only, less what no process reads: types, source maps, browser builds, other module formats.
FROM node AS dependencies
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error
COPY docker/prune-modules.sh /tmp/
RUN sh /tmp/prune-modules.sh node_modules

# Node itself, without its symbol table (18 MB that only a debugger of Node would read).
FROM node AS node-binary
RUN cp "$(command -v node)" /usr/local/bin/node-stripped && \
    if ! command -v strip >/dev/null; then apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils >/dev/null; fi && \
    strip /usr/local/bin/node-stripped && /usr/local/bin/node-stripped --version

FROM ${BASE_IMAGE} AS comfyui
ARG COMFYUI_STAGE
ARG COMFYUI_REPOSITORY=https://github.com/comfyanonymous/ComfyUI
ARG COMFYUI_VERSION=0.33.1
ARG UV_VERSION=0.9.9
ARG PYTHON_VERSION=3.12.12
ARG PYTHON_PACKAGES_UNTIL=2026-09-15
ARG TORCH_VERSION=2.9.1
ARG TORCHVISION_VERSION=0.24.1
ARG TORCHAUDIO_VERSION=2.9.1
ARG TORCH_INDEX=https://download.pytorch.org/whl/cu128
# Custom-node packs, separated by spaces: https://host/owner/repository@<commit>. One that fails to import fails the build.
ARG CUSTOM_NODES=""
ARG APT_PACKAGES=""
COPY docker/install-comfyui.sh docker/check-start.sh /tmp/
# The classic builder builds this stage even where the stand-in takes its place; then it installs nothing.
RUN mkdir -p /opt/python /opt/venv /opt/ComfyUI && \
    if [ "$COMFYUI_STAGE" = comfyui ]; then sh /tmp/install-comfyui.sh; fi

FROM node AS stand-in
RUN mkdir -p /opt/python /opt/venv/bin && ln -s /usr/local/bin/node /opt/venv/bin/python
COPY docker/stand-in /opt/ComfyUI

# Models to bake in, as in the variable MODELS. A stage of its own: a change of code does not make the layer anew. The list of what was downloaded
# goes: what is in an image is nobody's to remove for room, and does not count as downloaded.
FROM node AS models
ARG MODELS=""
WORKDIR /opt/comfy-runpod
COPY --from=dependencies /build/node_modules node_modules
COPY package.json ./
COPY bin bin
COPY --from=build /build/dist dist
RUN mkdir /models && if [ -n "$MODELS" ]; then node bin/comfy-runpod.js models pull "$MODELS" --into /models; fi && rm -rf /models/.comfy-runpod

FROM ${COMFYUI_STAGE} AS chosen-comfyui

FROM ${BASE_IMAGE} AS runtime
# More packages of the base's distribution, for custom nodes that need a library (for example "libgl1 libglib2.0-0").
ARG APT_PACKAGES=""
COPY docker/install-packages.sh /tmp/
RUN sh /tmp/install-packages.sh ca-certificates openssh-server tini ${APT_PACKAGES} && rm /tmp/install-packages.sh
COPY --from=node-binary /usr/local/bin/node-stripped /usr/local/bin/node
COPY --from=chosen-comfyui /opt/python /opt/python
COPY --from=chosen-comfyui /opt/venv /opt/venv
COPY --from=chosen-comfyui /opt/ComfyUI /opt/ComfyUI
COPY --from=models /models /opt/ComfyUI/models
COPY --from=dependencies /build/node_modules /opt/comfy-runpod/node_modules
COPY package.json LICENSE /opt/comfy-runpod/
COPY bin /opt/comfy-runpod/bin
COPY docker/entrypoint.sh docker/healthcheck.sh /opt/comfy-runpod/docker/
COPY --from=build /build/dist /opt/comfy-runpod/dist
# Compiled code of what a start loads: first what it loads before it asks for a job (a start that a wrong variable ends), then what it loads beside
# that. Without it a cold start spends a second on compiling.
RUN ln -s /opt/comfy-runpod/bin/comfy-runpod.js /usr/local/bin/comfy-runpod && \
    ln -s /opt/comfy-runpod/bin/comfy-runpod-inspect.js /usr/local/bin/comfy-runpod-inspect && \
    export NODE_COMPILE_CACHE=/opt/comfy-runpod/compile-cache && \
    env PREFETCH=wrong RUNPOD_WEBHOOK_GET_JOB=http://127.0.0.1 RUNPOD_WEBHOOK_POST_OUTPUT=http://127.0.0.1 comfy-runpod worker 2>&1 | \
      grep -q PREFETCH && \
    node -e "import('/opt/comfy-runpod/dist/worker/compose.js').then(() => import('/opt/comfy-runpod/dist/worker/boot/index.js'))" && \
    test -d "$NODE_COMPILE_CACHE"
COPY docker/check-start.sh /tmp/
RUN sh /tmp/check-start.sh && rm /tmp/check-start.sh

ARG IMAGE_NAME=comfy-runpod
ARG IMAGE_VERSION=0.1.0
ARG IMAGE_REVISION=unknown
ARG IMAGE_SOURCE=""
ARG BASE_IMAGE
ARG COMFYUI_STAGE
ARG COMFYUI_VERSION=0.33.1
LABEL org.opencontainers.image.title="comfy-runpod" \
      org.opencontainers.image.description="Runs ComfyUI workflows as a RunPod Serverless worker" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${IMAGE_VERSION}" \
      org.opencontainers.image.revision="${IMAGE_REVISION}" \
      org.opencontainers.image.source="${IMAGE_SOURCE}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      comfy-runpod.comfyui.kind="${COMFYUI_STAGE}" \
      comfy-runpod.comfyui.version="${COMFYUI_VERSION}"
ENV NODE_ENV=production \
    PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    COMFY_DIR=/opt/ComfyUI \
    COMFY_PYTHON=/opt/venv/bin/python \
    RUNTIME_DIR=/run/comfy-runpod \
    COMFY_RUNPOD_IMAGE=${IMAGE_NAME}:${IMAGE_VERSION}
WORKDIR /opt/comfy-runpod
HEALTHCHECK --interval=5s --timeout=5s --start-period=120s --retries=3 CMD ["/opt/comfy-runpod/docker/healthcheck.sh"]
ENTRYPOINT ["tini", "-s", "--", "/opt/comfy-runpod/docker/entrypoint.sh"]
